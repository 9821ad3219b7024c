/* SPDX-License-Identifier: MIT */
/*
 * commands.c - the commands of the control socket
 *
 * A command returns NULL, or why it changed nothing, and adds what it reports as JSON. A
 * DISK is the name of an export, or `-` for the disk itself, whose name is empty. Names
 * need no escapes in JSON: see disks.c.
 */
#define _POSIX_C_SOURCE 200809L
#include "commands.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "clients.h"
#include "disks.h"
#include "image.h"
#include "traffic.h"

enum { WORDS_MAX = 4 };

static const char *name_of(const char *word)
{
    return word == NULL || strcmp(word, "-") == 0 ? "" : word;
}

/* ----------------------------------------------------------------------- changes */

static const char *run_snapshot(char **words, Text *json)
{
    (void)json;
    return disks_clone(name_of(words[1]), words[0], false);
}

static const char *run_clone(char **words, Text *json)
{
    (void)json;
    return disks_clone(name_of(words[0]), words[1], true);
}

static const char *run_restore(char **words, Text *json)
{
    (void)json;
    return disks_restore(name_of(words[1]), name_of(words[0]));
}

static const char *run_drop(char **words, Text *json)
{
    (void)json;
    return disks_drop(name_of(words[0]));
}

/* Replaces each %XX by the byte that it stands for; false if one is not complete, or
 * stands for the end of a string. */
static bool decode_path(char *path)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    char *to = path;
    for (const char *from = path; *from != '\0'; from++) {
        *to = *from;
        if (*from == '%') {
            char pair[3] = {from[1], from[1] == '\0' ? '\0' : from[2]};
            *to = (char)strtol(pair, NULL, 16);
            if (strspn(pair, digits) != 2 || *to == '\0') {
                return false;
            }
            from += 2;
        }
        to++;
    }
    *to = '\0';
    return true;
}

/* The path is absolute, because the folder of nbdkit is not that of the client. */
static const char *run_save(char **words, Text *json)
{
    Disk disk;
    (void)json;
    if (!decode_path(words[0]) || words[0][0] != '/') {
        return "FILE is an absolute path, in which %XX stands for a byte that is not 0";
    }
    if (!disks_find(name_of(words[1]), &disk)) {
        return DISK_UNKNOWN;
    }
    const char *error = image_save(disk.pool, words[0]);
    pool_destroy(disk.pool);
    return error;
}

/* ----------------------------------------------------------------------- reports */

static PoolStats stats_of(MemoryPool *pool)
{
    PoolStats stats = {.struct_size = offsetof(PoolStats, shared_blocks)};
    pool_stats(pool, &stats);
    return stats;
}

static int list_disk(const Disk *disk, void *context)
{
    Text *json = context;
    if (disk->name[0] == '\0') {
        text_add(json, "[{\"export\": \"\", \"origin\": null");
    } else {
        text_add(json, ", {\"export\": \"%s\", \"origin\": \"%s\"", disk->name,
                 disk->origin);
    }
    text_add(json, ", \"writable\": %s, \"held_bytes\": %zu}",
             disk->writable ? "true" : "false", stats_of(disk->pool).held_bytes);
    return 0;
}

static const char *run_list(char **words, Text *json)
{
    (void)words;
    disks_visit(list_disk, json);
    text_add(json, "]");
    return NULL;
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

static const char *run_stats(char **words, Text *json)
{
    Tally tally = {.disks = 0};
    (void)words;
    disks_visit(tally_disk, &tally);
    text_add(json,
             "{\"total_size\": %zu, \"block_size\": %zu, \"held_bytes\": %zu, "
             "\"family_bytes\": %zu, \"family_peak_bytes\": %zu, \"memory_limit\": %zu, "
             "\"metadata_bytes\": %zu, \"adopted_blocks\": %zu, \"disks\": %zu, "
             "\"connections\": %zu, ",
             tally.stats.total_size, tally.stats.block_size, tally.stats.held_bytes,
             tally.stats.family_bytes, tally.stats.family_peak_bytes,
             tally.stats.memory_limit, tally.stats.metadata_bytes,
             tally.stats.adopted_blocks, tally.disks, disks_connections());
    traffic_write(json);
    text_add(json, "}");
    return NULL;
}

static const char *run_clients(char **words, Text *json)
{
    (void)words;
    clients_write(json);
    return NULL;
}

/* Sets the limit for the disk, its snapshots and clones; 0 for none. */
static const char *run_limit(char **words, Text *json)
{
    int64_t limit = nbdkit_parse_size(words[0]); /* which writes the reason to the log */
    Disk disk;
    if (limit < 0 || (uint64_t)limit > SIZE_MAX) {
        return "no size, as 64M, or 0 for no limit";
    }
    (void)disks_find("", &disk); /* the disk itself is always there */
    PoolStats stats = stats_of(disk.pool);
    const char *error = NULL;
    if (limit > 0 && (size_t)limit < stats.block_size) {
        error = "less than one block";
    } else {
        (void)pool_set_limit(disk.pool, (size_t)limit);
        stats = stats_of(disk.pool);
        text_add(json, "{\"memory_limit\": %zu, \"family_bytes\": %zu}",
                 stats.memory_limit, stats.family_bytes);
    }
    pool_destroy(disk.pool);
    return error;
}

static const char *run_help(char **words, Text *json);

/* Adds the ranges in which two pools differ that nobody changes meanwhile. */
static const char *write_changes(MemoryPool *base, MemoryPool *pool, Text *json)
{
    size_t at = 0, start, size;
    int found;
    while ((found = pool_next_change(pool, base, at, SIZE_MAX, &start, &size)) == 1) {
        text_add(json, "%s{\"offset\": %zu, \"size\": %zu}", at == 0 ? "[" : ", ", start,
                 size);
        at = start + size;
    }
    text_add(json, at == 0 ? "[]" : "]");
    return found == 0 ? NULL : pool_status_text(pool_last_status());
}

static const char *run_changes(char **words, Text *json)
{
    Disk base, disk;
    if (!disks_find(name_of(words[0]), &base)) {
        return DISK_UNKNOWN;
    }
    if (!disks_find(name_of(words[1]), &disk)) {
        pool_destroy(base.pool);
        return DISK_UNKNOWN;
    }
    MemoryPool *from = pool_clone(base.pool), *to = from ? pool_clone(disk.pool) : NULL;
    const char *error =
        to == NULL ? pool_status_text(pool_last_status()) : write_changes(from, to, json);
    pool_destroy(to);
    pool_destroy(from);
    pool_destroy(disk.pool);
    pool_destroy(base.pool);
    return error;
}

/* ---------------------------------------------------------------------- the table */

static const struct Command {
    const char *name;
    const char *words;
    size_t least, most;                           /* how many words after the name */
    const char *(*run)(char **words, Text *json); /* words: with NULL after the last */
    bool slow;                                    /* see commands_slow */
} commands[] = {
    {"snapshot", "NAME [DISK]", 1, 2, run_snapshot, false}, /* a read-only export */
    {"clone", "DISK NAME", 2, 2, run_clone, false},         /* a writable export */
    {"restore", "FROM [DISK]", 1, 2, run_restore, false},   /* DISK becomes like FROM */
    {"drop", "NAME", 1, 1, run_drop, false},
    {"save", "FILE [DISK]", 1, 2, run_save, true},       /* DISK becomes a raw image */
    {"changes", "FROM [DISK]", 1, 2, run_changes, true}, /* ranges that may differ */
    {"limit", "SIZE", 1, 1, run_limit, false},           /* of all disks; 0: none */
    {"list", "", 0, 0, run_list, false},
    {"clients", "", 0, 0, run_clients, false},
    {"stats", "", 0, 0, run_stats, false},
    {"help", "", 0, 0, run_help, false},
};

static const size_t command_count = sizeof commands / sizeof *commands;

static const char *run_help(char **words, Text *json)
{
    (void)words;
    for (size_t at = 0; at < command_count; at++) {
        text_add(json, "%s\"%s%s%s\"", at == 0 ? "[" : ", ", commands[at].name,
                 commands[at].most == 0 ? "" : " ", commands[at].words);
    }
    text_add(json, "]");
    return NULL;
}

/* Returns the command whose name is the first `size` bytes; NULL if there is none. */
static const struct Command *command_named(const char *name, size_t size)
{
    for (size_t at = 0; at < command_count; at++) {
        if (strlen(commands[at].name) == size &&
            memcmp(commands[at].name, name, size) == 0) {
            return &commands[at];
        }
    }
    return NULL;
}

static void command_run(const struct Command *command, char **words, Text *answer)
{
    Text json = {.bytes = NULL};
    const char *error = command->run(words, &json);
    if (error != NULL) {
        text_add(answer, "error %s\n", error);
    } else if (json.bytes != NULL) {
        text_add(answer, "ok %s\n", json.bytes);
    } else {
        text_add(answer, "ok\n");
    }
    answer->failed |= json.failed;
    free(json.bytes);
}

bool commands_slow(const char *line)
{
    line += strspn(line, " ");
    const struct Command *command = command_named(line, strcspn(line, " "));
    return command != NULL && command->slow;
}

void commands_run(char *line, Text *answer)
{
    char *words[WORDS_MAX + 1] = {NULL}, *rest = NULL;
    size_t count = 0;
    for (char *word = strtok_r(line, " ", &rest); word != NULL && count < WORDS_MAX;
         word = strtok_r(NULL, " ", &rest)) {
        words[count++] = word;
    }
    const struct Command *command =
        count == 0 ? NULL : command_named(words[0], strlen(words[0]));
    if (command == NULL) {
        text_add(answer, "error there is no such command; try help\n");
    } else if (count - 1 < command->least || count - 1 > command->most) {
        text_add(answer, "error usage: %s %s\n", command->name, command->words);
    } else {
        command_run(command, words + 1, answer);
    }
}
