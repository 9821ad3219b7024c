/* SPDX-License-Identifier: MIT */
/* commands.h - the commands of the control socket; see commands.c for the list */
#ifndef MEMPOOL_COMMANDS_H
#define MEMPOOL_COMMANDS_H

#include "text.h"

/* Runs a command and adds the line of its answer, with the newline. line: printable
 * ASCII; its contents are changed. Locks: the table of disks; see disks.h. */
void commands_run(char *line, Text *answer);

#endif
