/* SPDX-License-Identifier: MIT */
/* config.c - see config.h */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "disks.h"
#include "record.h"

Config config = {
    .size = -1,
    .block = CONFIG_BLOCK_SIZE,
    .records = RECORDS_DEFAULT,
};

/* Parses a size of at least `least` bytes; -1 after nbdkit_error if it is none. */
static int take_size(const char *key, const char *value, int64_t least, int64_t *size)
{
    int64_t parsed = nbdkit_parse_size(value);
    if (parsed == -1) {
        return -1;
    }
    if (parsed < least || (uint64_t)parsed > SIZE_MAX) {
        nbdkit_error("%s=%s: out of range", key, value);
        return -1;
    }
    *size = parsed;
    return 0;
}

/* Stores an absolute path, which *path then owns; -1 if it is NULL. */
static int take_path(char *absolute, char **path)
{
    free(*path); /* the last one counts */
    *path = absolute;
    return absolute == NULL ? -1 : 0;
}

static int take_format(const char *value)
{
    if (strcmp(value, "raw") != 0) {
        nbdkit_error("format=%s: an image is served only if it is raw", value);
        return -1;
    }
    config.raw = true;
    return 0;
}

static int take_record(const char *value)
{
    if (strcmp(value, "flush") != 0) {
        nbdkit_error("record=%s: only flush is possible", value);
        return -1;
    }
    config.record = true;
    return 0;
}

static int take_records(const char *value)
{
    if (nbdkit_parse_int("records", value, &config.records) != 0) {
        return -1;
    }
    if (config.records < 1 || config.records >= DISKS_MAX) {
        nbdkit_error("records=%s: out of range", value);
        return -1;
    }
    return 0;
}

int config_take(const char *key, const char *value)
{
    if (strcmp(key, "size") == 0) {
        return take_size(key, value, 1, &config.size);
    }
    if (strcmp(key, "block-size") == 0) {
        return take_size(key, value, 1, &config.block);
    }
    if (strcmp(key, "limit") == 0) {
        return take_size(key, value, 0, &config.limit);
    }
    if (strcmp(key, "image") == 0) {
        return take_path(nbdkit_realpath(value), &config.image);
    }
    if (strcmp(key, "format") == 0) {
        return take_format(value);
    }
    if (strcmp(key, "record") == 0) {
        return take_record(value);
    }
    if (strcmp(key, "records") == 0) {
        return take_records(value);
    }
    if (strcmp(key, "save") == 0) {
        return take_path(nbdkit_absolute_path(value), &config.save);
    }
    if (strcmp(key, "control") == 0) {
        return take_path(nbdkit_absolute_path(value), &config.control);
    }
    nbdkit_error("unknown parameter: %s", key);
    return -1;
}

int config_check(void)
{
    if (config.size == -1 && config.image == NULL) {
        nbdkit_error("size=SIZE or image=FILE must be given");
        return -1;
    }
    return 0;
}

void config_end(void)
{
    free(config.image);
    free(config.save);
    free(config.control);
}
