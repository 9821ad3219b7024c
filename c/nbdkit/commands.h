/* SPDX-License-Identifier: MIT */
/* commands.h - what can be said to the control socket; see commands.c for the list */
#ifndef MEMPOOL_COMMANDS_H
#define MEMPOOL_COMMANDS_H

#include "text.h"

/* Carries out a command, which is changed, and adds the line that answers it, with its
 * newline. line: printable ASCII. Locks: the table of disks; see disks.h. */
void commands_run(char *line, Text *answer);

#endif
