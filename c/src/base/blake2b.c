/* SPDX-License-Identifier: MIT */
/*
 * blake2b.c - BLAKE2b (RFC 7693) of bytes that lie in memory as a whole
 *
 * Without a key or a salt, with a result of 32 bytes and a personalization (section 2.5
 * and 2.8 of the paper on BLAKE2: https://www.blake2.net/blake2.pdf). The same as
 * hashlib.blake2b(data, digest_size=32, person=...) in Python.
 */
#include "base.h"

enum { BLAKE2B_BLOCK = 128, BLAKE2B_WORDS = 16, BLAKE2B_STATE = 8 };

static const uint64_t blake2b_iv[BLAKE2B_STATE] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

/* A word of little-endian bytes; compilers know this as one load. */
static ALWAYS_INLINE uint64_t blake2b_load(const unsigned char *bytes)
{
    return (uint64_t)bytes[0] | (uint64_t)bytes[1] << 8 | (uint64_t)bytes[2] << 16 |
           (uint64_t)bytes[3] << 24 | (uint64_t)bytes[4] << 32 |
           (uint64_t)bytes[5] << 40 | (uint64_t)bytes[6] << 48 | (uint64_t)bytes[7] << 56;
}

static ALWAYS_INLINE uint64_t blake2b_rotate(uint64_t word, unsigned bits)
{
    return word >> bits | word << (64 - bits);
}

static ALWAYS_INLINE void blake2b_mix(uint64_t *a, uint64_t *b, uint64_t *c, uint64_t *d,
                                      uint64_t x, uint64_t y)
{
    *a += *b + x;
    *d = blake2b_rotate(*d ^ *a, 32);
    *c += *d;
    *b = blake2b_rotate(*b ^ *c, 24);
    *a += *b + y;
    *d = blake2b_rotate(*d ^ *a, 16);
    *c += *d;
    *b = blake2b_rotate(*b ^ *c, 63);
}

/* A round takes the words of a block in an order of its own. (A macro, so that compilers
 * see constants in time to keep all words in registers.) */
#define BLAKE2B_ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14,   \
                      s15)                                                               \
    do {                                                                                 \
        blake2b_mix(&v[0], &v[4], &v[8], &v[12], m[s0], m[s1]);                          \
        blake2b_mix(&v[1], &v[5], &v[9], &v[13], m[s2], m[s3]);                          \
        blake2b_mix(&v[2], &v[6], &v[10], &v[14], m[s4], m[s5]);                         \
        blake2b_mix(&v[3], &v[7], &v[11], &v[15], m[s6], m[s7]);                         \
        blake2b_mix(&v[0], &v[5], &v[10], &v[15], m[s8], m[s9]);                         \
        blake2b_mix(&v[1], &v[6], &v[11], &v[12], m[s10], m[s11]);                       \
        blake2b_mix(&v[2], &v[7], &v[8], &v[13], m[s12], m[s13]);                        \
        blake2b_mix(&v[3], &v[4], &v[9], &v[14], m[s14], m[s15]);                        \
    } while (0)

/* Adds a block to a state. count: the bytes up to its end; last: no block follows. */
static void blake2b_compress(uint64_t *h, const unsigned char *block, size_t count,
                             bool last)
{
    uint64_t m[BLAKE2B_WORDS], v[2 * BLAKE2B_STATE];
    unsigned i;
    for (i = 0; i < BLAKE2B_WORDS; i++) {
        m[i] = blake2b_load(block + sizeof *m * i);
    }
    for (i = 0; i < BLAKE2B_STATE; i++) {
        v[i] = h[i];
        v[BLAKE2B_STATE + i] = blake2b_iv[i];
    }
    v[12] ^= count;
    v[14] ^= last ? UINT64_MAX : 0;
    BLAKE2B_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    BLAKE2B_ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
    BLAKE2B_ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);
    BLAKE2B_ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);
    BLAKE2B_ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);
    BLAKE2B_ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);
    BLAKE2B_ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);
    BLAKE2B_ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);
    BLAKE2B_ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);
    BLAKE2B_ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);
    BLAKE2B_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    BLAKE2B_ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
    for (i = 0; i < BLAKE2B_STATE; i++) {
        h[i] ^= v[i] ^ v[BLAKE2B_STATE + i];
    }
}

/* Hashes 1 byte or more. digest may lie in data. */
static void blake2b(Digest *digest, const Personalization *what,
                    const unsigned char *data, size_t size)
{
    uint64_t h[BLAKE2B_STATE];
    unsigned char rest[BLAKE2B_BLOCK] = {0};
    size_t done = 0;
    unsigned i;
    memcpy(h, blake2b_iv, sizeof h);
    h[0] ^= (uint64_t)DIGEST_SIZE | 1 << 16 | 1 << 24; /* fanout and depth are 1 */
    h[6] ^= blake2b_load((const unsigned char *)what->text);
    h[7] ^= blake2b_load((const unsigned char *)what->text + 8);
    for (; size - done > BLAKE2B_BLOCK; done += BLAKE2B_BLOCK) {
        blake2b_compress(h, data + done, done + BLAKE2B_BLOCK, false);
    }
    memcpy(rest, data + done, size - done);
    blake2b_compress(h, rest, size, true);
    for (i = 0; i < DIGEST_SIZE; i++) {
        digest->bytes[i] = (unsigned char)(h[i / 8] >> i % 8 * 8);
    }
}
