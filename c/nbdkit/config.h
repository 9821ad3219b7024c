/* SPDX-License-Identifier: MIT */
/* config.h - the parameters of the command line */
#ifndef MEMPOOL_CONFIG_H
#define MEMPOOL_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

enum { CONFIG_BLOCK_SIZE = 65536 };

/* Constant from the first connection on. */
typedef struct Config {
    int64_t size;  /* bytes; -1: as the image */
    int64_t block; /* bytes */
    int64_t limit; /* bytes; 0: none */
    bool raw;      /* the image is raw, whatever it looks like */
    bool record;   /* a snapshot at each flush */
    int records;   /* how many of them to keep */
    char *image;   /* absolute paths; NULL: none */
    char *save;
    char *control;
} Config;

extern Config config;

/* Takes one parameter. Returns 0, or -1 after nbdkit_error. */
int config_take(const char *key, const char *value);

/* Checks that the parameters are complete. Returns 0, or -1 after nbdkit_error. */
int config_check(void);

/* Frees the paths. */
void config_end(void);

#define CONFIG_HELP                                                                      \
    "size=SIZE        (required without image) Size of the disk.\n"                      \
    "block-size=SIZE  Memory comes in blocks of at most this size (default 64K).\n"      \
    "limit=SIZE       Most memory that the disk, its snapshots and clones may take;\n"   \
    "                 a request that would exceed it fails (default none).\n"            \
    "image=FILE       Start with the contents of a raw image, which is not changed.\n"   \
    "format=raw       The image is raw, although it looks like another format.\n"        \
    "record=flush     Make a snapshot of the disk whenever a client flushes.\n"          \
    "records=N        Keep so many of these, the newest (default 1000).\n"               \
    "save=FILE        Write the disk to a raw image at the end.\n"                       \
    "control=SOCKET   UNIX socket for commands; `help` lists them."

#endif
