/* SPDX-License-Identifier: MIT */
/*
 * blake2b.h - the hash function of digests
 */
#ifndef POOL_BLAKE2B_H
#define POOL_BLAKE2B_H

#include <stddef.h>

/* A result of BLAKE2b. */
enum { DIGEST_SIZE = 32 };
typedef struct Digest {
    unsigned char bytes[DIGEST_SIZE];
} Digest;

/* What is hashed; the personalization that tells it from the others. */
enum { PERSONALIZATION_SIZE = 16 };
typedef struct Personalization {
    char text[PERSONALIZATION_SIZE];
} Personalization;

/* blake2b.c */
static void blake2b(Digest *digest, const Personalization *what,
                    const unsigned char *data, size_t size);

#endif /* POOL_BLAKE2B_H */
