/* SPDX-License-Identifier: MIT */
/*
 * features.h - macros to be defined before the first system header is included, and what
 * the library is built with
 */
#ifndef POOL_FEATURES_H
#define POOL_FEATURES_H

#if !defined(_WIN32) && !defined(_DEFAULT_SOURCE)
#  define _DEFAULT_SOURCE 1 /* anonymous mappings and madvise, in strict C as well */
#endif
#if defined(__linux__) && !defined(_GNU_SOURCE)
#  define _GNU_SOURCE 1 /* memmem */
#endif
#if defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#  define _DARWIN_C_SOURCE 1
#endif

/* The macros of the header that name the caller's line are not for the library itself. */
#define POOL_IMPLEMENTATION 1

/* Whether this is a build for ThreadSanitizer or AddressSanitizer. */
#if defined(__SANITIZE_THREAD__)
#  define POOL_THREAD_SANITIZER 1
#elif defined(__SANITIZE_ADDRESS__)
#  define POOL_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
#    define POOL_THREAD_SANITIZER 1
#  elif __has_feature(address_sanitizer)
#    define POOL_ADDRESS_SANITIZER 1
#  endif
#endif

/* Whether this is a build for a tool that checks what memory is touched, see poison.h. */
#if defined(POOL_ADDRESS_SANITIZER) || defined(POOL_VALGRIND)
#  define POOL_POISON 1
#endif

#endif /* POOL_FEATURES_H */
