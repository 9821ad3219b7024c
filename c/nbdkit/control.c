/* SPDX-License-Identifier: MIT */
/*
 * control.c - see control.h
 *
 * One thread serves the listener and all clients with poll(). Only that thread uses the
 * data of clients, so that nothing here needs a lock; it runs commands one after the
 * other. A command that may take long runs in a thread of its own, which alone uses the
 * client's Work until it has written the client's index to a pipe. A client that does not
 * read its answers blocks only itself: its next command waits until the last answer was
 * sent.
 */
#define _GNU_SOURCE /* accept4, pipe2 */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "commands.h"
#include "text.h"

enum {
    CLIENTS_MAX = 32,
    LINE_SIZE = 500,
    PAUSE_MS = 100, /* before the next accept, if no descriptor was free  */
    STOP = 0,       /* index in polled: of the pipe that ends the thread, */
    DONE = 1,       /* of the pipe of indices of clients,                 */
    LISTENER = 2,   /* of the listener,                                   */
    CLIENTS = 3,    /* and of the first client                            */
};

/* A command that runs in a thread of its own. */
typedef struct Work {
    pthread_t thread;
    char line[LINE_SIZE + 1];
    Text answer;
} Work;

typedef struct Client {
    int socket;           /* -1: a free slot                       */
    size_t used;          /* bytes in line                         */
    char line[LINE_SIZE]; /* received, not run yet                 */
    Text answer;          /* being sent; without bytes: there is none */
    size_t sent;          /* bytes of the answer                   */
    bool last;            /* close the connection after the answer */
    bool working;         /* work.thread exists                    */
    Work work;
} Client;

static struct {
    struct sockaddr_un address;
    bool listening; /* the socket exists, and control_stop removes it */
    bool running;   /* the thread exists                              */
    int listener;
    int stop[2]; /* pipes */
    int done[2];
    pthread_t thread;
    Client clients[CLIENTS_MAX];
} control;

/* -------------------------------------------------------------------- one client */

static void client_close(Client *client)
{
    close(client->socket);
    free(client->answer.bytes);
    *client = (Client){.socket = -1};
}

static bool line_is_printable(const char *line, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        if (line[at] < ' ' || line[at] > '~') {
            return false;
        }
    }
    return true;
}

static void *work(void *given)
{
    Client *client = given;
    unsigned char index = (unsigned char)(client - control.clients);
    commands_run(client->work.line, &client->work.answer);
    (void)!write(control.done[1], &index, 1); /* there is room for all clients */
    return NULL;
}

/* Takes over the answer of the client's thread, which has ended or will soon. */
static void client_join(Client *client)
{
    pthread_join(client->work.thread, NULL);
    client->working = false;
    client->answer = client->work.answer;
    if (client->answer.failed) {
        client_close(client);
    }
}

/* Runs a command, in a thread of its own if it may take long. */
static void client_run(Client *client, size_t size)
{
    client->work.answer = (Text){.bytes = NULL};
    memcpy(client->work.line, client->line, size);
    client->work.line[size] = '\0';
    if (!commands_slow(client->work.line)) {
        commands_run(client->work.line, &client->answer);
    } else if (pthread_create(&client->work.thread, NULL, work, client) == 0) {
        client->working = true;
    } else {
        text_add(&client->answer, "error the system has no thread for this\n");
    }
}

/* Runs the command in the first `size` bytes of the line, or answers with an error.
 * Closes the connection if there is no memory for the answer. */
static void client_answer(Client *client, size_t size, const char *error)
{
    if (error == NULL && !line_is_printable(client->line, size)) {
        error = "a command must be printable ASCII";
    }
    if (error != NULL) {
        text_add(&client->answer, "error %s\n", error);
    } else {
        client_run(client, size);
    }
    if (client->answer.failed) {
        client_close(client);
    }
}

/* Runs the next command, if it is complete and no answer is being sent. */
static void client_next(Client *client)
{
    char *end = memchr(client->line, '\n', client->used);
    if (client->answer.bytes != NULL || client->last || client->working) {
        return;
    }
    if (end != NULL) {
        size_t size = (size_t)(end - client->line);
        client_answer(client, size, NULL);
        if (client->socket >= 0) {
            client->used -= size + 1;
            memmove(client->line, end + 1, client->used);
        }
    } else if (client->used == LINE_SIZE) {
        client->last = true;
        client_answer(client, 0, "the line is too long");
    }
}

/* Sends as much of the answer as the socket accepts now. */
static void client_send(Client *client)
{
    ssize_t count = send(client->socket, client->answer.bytes + client->sent,
                         client->answer.size - client->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            client_close(client);
        }
        return;
    }
    client->sent += (size_t)count;
    if (client->sent == client->answer.size) {
        free(client->answer.bytes);
        client->answer = (Text){.bytes = NULL};
        client->sent = 0;
        if (client->last) {
            client_close(client);
        }
    }
}

/* Receives what is there. */
static void client_receive(Client *client)
{
    ssize_t count = recv(client->socket, client->line + client->used,
                         LINE_SIZE - client->used, MSG_DONTWAIT);
    if (count > 0) {
        client->used += (size_t)count;
    } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
        client_close(client);
    }
}

/* Receives, runs and answers as long as the socket does not block. */
static void client_go_on(Client *client)
{
    if (client->answer.bytes == NULL) {
        client_receive(client);
    }
    while (client->socket >= 0) {
        client_next(client);
        if (client->socket < 0 || client->answer.bytes == NULL) {
            return; /* closed, working, or waiting for a command */
        }
        client_send(client);
        if (client->answer.bytes != NULL) {
            return; /* waiting until the socket is writable */
        }
    }
}

/* -------------------------------------------------------------------- the thread */

static Client *free_place(void)
{
    for (size_t at = 0; at < CLIENTS_MAX; at++) {
        if (control.clients[at].socket < 0) {
            return &control.clients[at];
        }
    }
    return NULL;
}

/* Accepts a client; false if another try at once would fail as well. */
static bool accept_client(void)
{
    static const char full[] = "error there are too many clients\n";
    int made = accept4(control.listener, NULL, NULL, SOCK_CLOEXEC);
    Client *client = free_place();
    if (made < 0) {
        return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
    }
    if (client == NULL) {
        (void)!send(made, full, sizeof full - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        close(made);
        return true;
    }
    *client = (Client){.socket = made};
    return true;
}

/* Waits for events; if paused, does not accept, and waits for PAUSE_MS at most. Returns
 * how many entries of polled are in use: poll() refuses more than the process may have
 * descriptors, and clients take the first free slot. */
static size_t wait_for_events(struct pollfd *polled, bool paused)
{
    size_t count = CLIENTS;
    polled[STOP] = (struct pollfd){.fd = control.stop[0], .events = POLLIN};
    polled[DONE] = (struct pollfd){.fd = control.done[0], .events = POLLIN};
    polled[LISTENER] =
        (struct pollfd){.fd = paused ? -1 : control.listener, .events = POLLIN};
    for (size_t at = 0; at < CLIENTS_MAX; at++) {
        const Client *client = &control.clients[at];
        short events = client->answer.bytes == NULL ? POLLIN : POLLOUT;
        int file = client->working ? -1 : client->socket;
        polled[CLIENTS + at] = (struct pollfd){.fd = file, .events = events};
        if (client->socket >= 0) {
            count = CLIENTS + at + 1;
        }
    }
    if (poll(polled, count, paused ? PAUSE_MS : -1) < 0) {
        /* Out of memory, or the limit of descriptors was lowered. */
        (void)poll(&polled[STOP], 1, PAUSE_MS);
    }
    return count;
}

/* Answers a client whose thread has run its command. */
static void finish_work(void)
{
    unsigned char index;
    if (read(control.done[0], &index, 1) == 1) {
        Client *client = &control.clients[index];
        client_join(client);
        if (client->socket >= 0) {
            client_go_on(client);
        }
    }
}

static void *serve(void *unused)
{
    struct pollfd polled[CLIENTS + CLIENTS_MAX];
    bool paused = false;
    for (;;) {
        size_t count = wait_for_events(polled, paused);
        if (polled[STOP].revents != 0) {
            return unused;
        }
        if (polled[DONE].revents != 0) {
            finish_work();
        }
        for (size_t at = CLIENTS; at < count; at++) {
            if (polled[at].revents != 0) {
                client_go_on(&control.clients[at - CLIENTS]);
            }
        }
        paused = polled[LISTENER].revents != 0 && !accept_client();
    }
}

/* --------------------------------------------------------------- start and end */

/* Whether there is a socket at the address without a listener. */
static bool is_left_over(void)
{
    struct stat facts;
    bool refused = false;
    if (lstat(control.address.sun_path, &facts) == 0 && S_ISSOCK(facts.st_mode)) {
        /* Non-blocking, because connect waits if the listener's queue is full. */
        int tried = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        refused = tried >= 0 &&
                  connect(tried, (struct sockaddr *)&control.address,
                          sizeof control.address) != 0 &&
                  errno == ECONNREFUSED;
        if (tried >= 0) {
            close(tried);
        }
    }
    return refused;
}

/* Binds the socket so that only its owner can connect. Changes the umask: no other thread
 * may create files meanwhile. */
static int bind_for_owner(void)
{
    mode_t mask = umask(0177);
    int result = bind(control.listener, (struct sockaddr *)&control.address,
                      sizeof control.address);
    int error = errno;
    umask(mask);
    errno = error;
    return result;
}

int control_listen(const char *path)
{
    if (strlen(path) >= sizeof control.address.sun_path) {
        nbdkit_error("control: %s: the path of a socket has at most %zu characters", path,
                     sizeof control.address.sun_path - 1);
        return -1;
    }
    control.address.sun_family = AF_UNIX;
    strcpy(control.address.sun_path, path);
    control.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (control.listener >= 0) {
        int result = bind_for_owner();
        if (result != 0 && errno == EADDRINUSE) {
            if (is_left_over()) {
                unlink(path);
                result = bind_for_owner();
            } else {
                errno = EADDRINUSE;
            }
        }
        control.listening = result == 0;
        if (result == 0 && listen(control.listener, SOMAXCONN) == 0) {
            return 0;
        }
    }
    nbdkit_error("control: %s: %m", path);
    control_stop();
    return -1;
}

int control_start(void)
{
    sigset_t all, before;
    bool made =
        pipe2(control.stop, O_CLOEXEC) == 0 && pipe2(control.done, O_CLOEXEC) == 0;
    int error = made ? 0 : errno;
    for (size_t at = 0; at < CLIENTS_MAX; at++) {
        control.clients[at].socket = -1;
    }
    if (error == 0) { /* block all signals, which are for nbdkit's own threads */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        error = pthread_create(&control.thread, NULL, serve, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (error != 0) {
        errno = error;
        nbdkit_error("control: %m");
        control_stop(); /* nbdkit exits without calling cleanup or unload */
        return -1;
    }
    control.running = true;
    return 0;
}

void control_stop(void)
{
    if (control.running) {
        (void)!write(control.stop[1], "", 1); /* does not block: the pipe is empty */
        pthread_join(control.thread, NULL);
        for (size_t at = 0; at < CLIENTS_MAX; at++) {
            if (control.clients[at].working) {
                client_join(&control.clients[at]);
            }
            if (control.clients[at].socket >= 0) {
                client_close(&control.clients[at]);
            }
        }
        close(control.done[0]);
        close(control.done[1]);
        close(control.stop[0]);
        close(control.stop[1]);
        control.running = false;
    }
    if (control.listening) {
        close(control.listener);
        unlink(control.address.sun_path);
        control.listening = false;
    }
}
