/* SPDX-License-Identifier: MIT */
/*
 * features.h - macros to be defined before the first system header is included
 */
#ifndef POOL_FEATURES_H
#define POOL_FEATURES_H

#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1 /* anonymous mappings and madvise, in strict C as well */
#endif
#if defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#  define _DARWIN_C_SOURCE 1
#endif

#endif /* POOL_FEATURES_H */
