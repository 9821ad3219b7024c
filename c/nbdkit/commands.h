/* SPDX-License-Identifier: MIT */
/* commands.h - the commands of the control socket; see commands.c for the list */
#ifndef MEMPOOL_COMMANDS_H
#define MEMPOOL_COMMANDS_H

#include <stdbool.h>

#include "text.h"

/* Whether the command in a line may take long, so that others should not wait for it. */
bool commands_slow(const char *line);

/* Runs a command and adds the line of its answer, with the newline. line: printable
 * ASCII; its contents are changed. Several may run at once. Locks: the table of disks;
 * see disks.h. */
void commands_run(char *line, Text *answer);

#endif
