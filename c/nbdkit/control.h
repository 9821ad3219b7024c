/* SPDX-License-Identifier: MIT */
/*
 * control.h - the control socket: snapshots while the disk is served
 *
 * A UNIX socket that only its owner can connect to. A client sends lines and gets one
 * line for each, in order: `ok`, `ok` and JSON, or `error` and a reason. A line is
 * printable ASCII, at most 500 characters; anything else is answered with an error, and a
 * line that is too long ends the connection. A connection that ends before an answer came
 * found no memory for it: the command was carried out, or not. What comes after the last
 * newline is not a command, since nobody knows if it came whole.
 */
#ifndef MEMPOOL_CONTROL_H
#define MEMPOOL_CONTROL_H

/* Makes the socket; a socket that nobody listens to any more is replaced. Clients may
 * connect from then on. -1 after nbdkit_error if it fails. */
int control_listen(const char *path);

/* Starts the thread that answers, after control_listen, in the process that serves. -1
 * after nbdkit_error if it fails. */
int control_start(void);

/* Ends the thread and all connections and removes the socket. Does nothing where nothing
 * was started. */
void control_stop(void);

#endif
