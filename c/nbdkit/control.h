/* SPDX-License-Identifier: MIT */
/*
 * control.h - the control socket: snapshots while the disk is served
 *
 * A UNIX socket to which only its owner can connect. A client sends lines and gets one
 * line for each, in order: `ok`, `ok` and JSON, or `error` and a reason. A line is
 * printable ASCII, at most 500 characters; the answer to anything else is an error, and a
 * line that is too long also ends the connection. If the connection ends before an
 * answer, there was no memory for it, and the command may or may not have run. Text after
 * the last newline is not a command, because it may be incomplete.
 */
#ifndef MEMPOOL_CONTROL_H
#define MEMPOOL_CONTROL_H

/* Creates the socket, to which clients may connect from then on; replaces one without a
 * listener. Returns 0, or -1 after nbdkit_error. */
int control_listen(const char *path);

/* Starts the thread that answers. To be called after control_listen, in the process that
 * serves. Returns 0, or -1 after nbdkit_error. */
int control_start(void);

/* Waits for commands that run, ends the thread and all connections, and removes the
 * socket; each only if it exists. */
void control_stop(void);

#endif
