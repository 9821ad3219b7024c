/* SPDX-License-Identifier: MIT */
/*
 * commands.c - the commands of the control socket
 *
 * A command either changes something and may fail, or reports something and cannot. A
 * DISK is the name of an export, or `-` for the disk itself, whose name is empty. Names
 * need no escapes in JSON: see disks.c.
 */
#define _POSIX_C_SOURCE 200809L
#include "commands.h"

#include <stddef.h>
#include <string.h>

#include "disks.h"
#include "traffic.h"

enum { WORDS_MAX = 4 };

static const char *name_of(const char *word)
{
    return word == NULL || strcmp(word, "-") == 0 ? "" : word;
}

/* ---------------------------------------------- changes: NULL, or why there was none */

static const char *change_snapshot(char **words)
{
    return disks_clone(name_of(words[1]), words[0], false);
}

static const char *change_clone(char **words)
{
    return disks_clone(name_of(words[0]), words[1], true);
}

static const char *change_restore(char **words)
{
    return disks_restore(name_of(words[1]), name_of(words[0]));
}

static const char *change_drop(char **words)
{
    return disks_drop(name_of(words[0]));
}

/* ------------------------------------------------------------------ answers in JSON */

static PoolStats stats_of(MemoryPool *pool)
{
    PoolStats stats = {.struct_size = offsetof(PoolStats, shared_blocks)};
    pool_stats(pool, &stats);
    return stats;
}

static int list_disk(const Disk *disk, void *context)
{
    Text *answer = context;
    if (disk->name[0] == '\0') {
        text_add(answer, "[{\"export\": \"\", \"origin\": null");
    } else {
        text_add(answer, ", {\"export\": \"%s\", \"origin\": \"%s\"", disk->name,
                 disk->origin);
    }
    text_add(answer, ", \"writable\": %s, \"held_bytes\": %zu}",
             disk->writable ? "true" : "false", stats_of(disk->pool).held_bytes);
    return 0;
}

static void write_list(Text *answer)
{
    disks_visit(list_disk, answer);
    text_add(answer, "]");
}

typedef struct Tally {
    PoolStats stats; /* of the disk itself */
    size_t disks;
} Tally;

static int tally_disk(const Disk *disk, void *context)
{
    Tally *tally = context;
    if (tally->disks++ == 0) {
        tally->stats = stats_of(disk->pool);
    }
    return 0;
}

static void write_stats(Text *answer)
{
    Tally tally = {.disks = 0};
    disks_visit(tally_disk, &tally);
    text_add(answer,
             "{\"total_size\": %zu, \"block_size\": %zu, \"held_bytes\": %zu, "
             "\"family_bytes\": %zu, \"family_peak_bytes\": %zu, \"memory_limit\": %zu, "
             "\"metadata_bytes\": %zu, \"adopted_blocks\": %zu, \"disks\": %zu, "
             "\"connections\": %zu, ",
             tally.stats.total_size, tally.stats.block_size, tally.stats.held_bytes,
             tally.stats.family_bytes, tally.stats.family_peak_bytes,
             tally.stats.memory_limit, tally.stats.metadata_bytes,
             tally.stats.adopted_blocks, tally.disks, disks_connections());
    traffic_write(answer);
    text_add(answer, "}");
}

static void write_help(Text *answer);

/* ---------------------------------------------------------------------- the table */

static const struct Command {
    const char *name;
    const char *words;
    size_t least, most;                  /* how many words after the name           */
    const char *(*change)(char **words); /* the words, with NULL after the last; or */
    void (*write)(Text *answer);         /* adds JSON                               */
} commands[] = {
    {"snapshot", "NAME [DISK]", 1, 2, change_snapshot, NULL}, /* a read-only export */
    {"clone", "DISK NAME", 2, 2, change_clone, NULL},         /* a writable export */
    {"restore", "FROM [DISK]", 1, 2, change_restore, NULL},   /* DISK becomes like FROM */
    {"drop", "NAME", 1, 1, change_drop, NULL},
    {"list", "", 0, 0, NULL, write_list},
    {"stats", "", 0, 0, NULL, write_stats},
    {"help", "", 0, 0, NULL, write_help},
};

static const size_t command_count = sizeof commands / sizeof *commands;

static void write_help(Text *answer)
{
    for (size_t at = 0; at < command_count; at++) {
        text_add(answer, "%s\"%s%s%s\"", at == 0 ? "[" : ", ", commands[at].name,
                 commands[at].most == 0 ? "" : " ", commands[at].words);
    }
    text_add(answer, "]");
}

static const struct Command *command_named(const char *name)
{
    for (size_t at = 0; name != NULL && at < command_count; at++) {
        if (strcmp(commands[at].name, name) == 0) {
            return &commands[at];
        }
    }
    return NULL;
}

static void command_run(const struct Command *command, char **words, Text *answer)
{
    const char *error = command->change != NULL ? command->change(words) : NULL;
    if (error != NULL) {
        text_add(answer, "error %s\n", error);
        return;
    }
    text_add(answer, "%s", command->write != NULL ? "ok " : "ok");
    if (command->write != NULL) {
        command->write(answer);
    }
    text_add(answer, "\n");
}

void commands_run(char *line, Text *answer)
{
    char *words[WORDS_MAX + 1] = {NULL}, *rest = NULL;
    size_t count = 0;
    for (char *word = strtok_r(line, " ", &rest); word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, " ", &rest)) {
        words[count++] = word;
    }
    const struct Command *command = command_named(words[0]);
    if (command == NULL) {
        text_add(answer, "error there is no such command; try help\n");
    } else if (count - 1 < command->least || count - 1 > command->most) {
        text_add(answer, "error usage: %s %s\n", command->name, command->words);
    } else {
        command_run(command, words + 1, answer);
    }
}
