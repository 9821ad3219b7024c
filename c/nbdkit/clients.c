/* SPDX-License-Identifier: MIT */
/* clients.c - see clients.h */
#define _POSIX_C_SOURCE 200809L
#include "clients.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static Peer *first; /* guarded by the mutex */

/* Writes who is at the other end of the connection that nbdkit opens in this thread. */
static void find_name(char *name, size_t room)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char host[INET6_ADDRSTRLEN] = "";
    snprintf(name, room, "unknown");
    if (nbdkit_peer_name((struct sockaddr *)&address, &size) != 0) {
        return;
    }
    if (address.ss_family == AF_UNIX) {
        snprintf(name, room, "pid %" PRIi64, nbdkit_peer_pid());
    } else if (address.ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(name, room, "%s:%u", host, (unsigned)ntohs(four->sin_port));
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(name, room, "[%s]:%u", host, (unsigned)ntohs(six->sin6_port));
    }
}

void clients_add(Peer *peer, const char *export)
{
    strcpy(peer->export, export);
    find_name(peer->name, sizeof peer->name);
    peer->before = NULL;
    pthread_mutex_lock(&mutex);
    peer->next = first;
    if (first != NULL) {
        first->before = peer;
    }
    first = peer;
    pthread_mutex_unlock(&mutex);
}

void clients_remove(Peer *peer)
{
    pthread_mutex_lock(&mutex);
    if (peer->next != NULL) {
        peer->next->before = peer->before;
    }
    if (peer->before != NULL) {
        peer->before->next = peer->next;
    } else {
        first = peer->next;
    }
    pthread_mutex_unlock(&mutex);
}

void clients_write(Text *json)
{
    pthread_mutex_lock(&mutex);
    text_add(json, "[");
    for (const Peer *peer = first; peer != NULL; peer = peer->next) {
        text_add(json, "%s{\"client\": \"%s\", \"export\": \"%s\"}",
                 peer == first ? "" : ", ", peer->name, peer->export);
    }
    text_add(json, "]");
    pthread_mutex_unlock(&mutex);
}
