/* SPDX-License-Identifier: MIT */
/*
 * atomics.h - the atomic operations the library uses, with the memory order in the name
 *
 * C11 atomics where the compiler has them, Microsoft's intrinsics where it does not
 * (define POOL_MSVC_ATOMICS to try those with another compiler). Only what is used is
 * here.
 *
 * A reference is added with relaxed order, because the thread already has one, and
 * dropped with acquire-release, because the thread that drops the last one must see all
 * that the others did before they dropped theirs. Counts are as large as an address, and
 * so cannot overflow; 32 bits would not do: 2^32 slots with one block take only 36 GB.
 */
#ifndef POOL_ATOMICS_H
#define POOL_ATOMICS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_MSC_VER) && !defined(__clang__) && !defined(POOL_MSVC_ATOMICS)
#  define POOL_MSVC_ATOMICS
#endif

#ifndef POOL_MSVC_ATOMICS

#  include <stdatomic.h>

typedef _Atomic(size_t) AtomicSize;
typedef _Atomic(void *) AtomicPtr;

static inline size_t size_load_relaxed(AtomicSize *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

static inline size_t size_load_acquire(AtomicSize *at)
{
    return atomic_load_explicit(at, memory_order_acquire);
}

static inline size_t size_load_seq_cst(AtomicSize *at)
{
    return atomic_load_explicit(at, memory_order_seq_cst);
}

static inline void size_store_relaxed(AtomicSize *at, size_t value)
{
    atomic_store_explicit(at, value, memory_order_relaxed);
}

static inline void size_store_release(AtomicSize *at, size_t value)
{
    atomic_store_explicit(at, value, memory_order_release);
}

static inline void size_add_relaxed(AtomicSize *at, size_t value)
{
    atomic_fetch_add_explicit(at, value, memory_order_relaxed);
}

static inline void size_add_release(AtomicSize *at, size_t value)
{
    atomic_fetch_add_explicit(at, value, memory_order_release);
}

/* Returns the value before. */
static inline size_t size_fetch_add_relaxed(AtomicSize *at, size_t value)
{
    return atomic_fetch_add_explicit(at, value, memory_order_relaxed);
}

static inline void size_sub_relaxed(AtomicSize *at, size_t value)
{
    atomic_fetch_sub_explicit(at, value, memory_order_relaxed);
}

/* Returns the value before. */
static inline size_t size_sub_acq_rel(AtomicSize *at, size_t value)
{
    return atomic_fetch_sub_explicit(at, value, memory_order_acq_rel);
}

/* Compare-and-swap: stores value if expected is there; returns whether it did. */
static inline int size_swap_seq_cst(AtomicSize *at, size_t expected, size_t value)
{
    return atomic_compare_exchange_strong_explicit(
        at, &expected, value, memory_order_seq_cst, memory_order_relaxed);
}

static inline void *ptr_load_acquire(AtomicPtr *at)
{
    return atomic_load_explicit(at, memory_order_acquire);
}

static inline void ptr_store_release(AtomicPtr *at, void *value)
{
    atomic_store_explicit(at, value, memory_order_release);
}

/* Loads before fence_acquire stay before all that follows it; stores after fence_release
 * stay after all that precedes it. */
static inline void fence_acquire(void)
{
    atomic_thread_fence(memory_order_acquire);
}

static inline void fence_release(void)
{
    atomic_thread_fence(memory_order_release);
}

#else /* Microsoft's intrinsics: full barriers on every change, a little slower on ARM */

#  if defined(_MSC_VER) && !defined(__clang__)
#    include <intrin.h>
#  else
#    include <windows.h> /* brings the same intrinsics */
#  endif

typedef void *volatile AtomicPtr;

#  if defined(_M_ARM64) || defined(_M_ARM)
#    define ATOMIC_FENCE() __dmb(0xB /* inner shareable */)
#  else
#    define ATOMIC_FENCE() _ReadWriteBarrier()
#  endif

#  if defined(_WIN64)
typedef volatile __int64 AtomicSize;
typedef __int64 AtomicSigned;
#    define ATOMIC_ADD_SIZE _InterlockedExchangeAdd64
#    define ATOMIC_SWAP_SIZE _InterlockedCompareExchange64
#  else
typedef volatile long AtomicSize;
typedef long AtomicSigned;
#    define ATOMIC_ADD_SIZE _InterlockedExchangeAdd
#    define ATOMIC_SWAP_SIZE _InterlockedCompareExchange
#  endif

static inline size_t size_load_relaxed(AtomicSize *at)
{
    return (size_t)*at;
}

static inline size_t size_load_acquire(AtomicSize *at)
{
    size_t value = (size_t)*at;
    ATOMIC_FENCE();
    return value;
}

static inline size_t size_load_seq_cst(AtomicSize *at)
{
    size_t value;
    ATOMIC_FENCE();
    value = (size_t)*at;
    ATOMIC_FENCE();
    return value;
}

static inline void size_store_relaxed(AtomicSize *at, size_t value)
{
    *at = (AtomicSigned)value;
}

static inline void size_store_release(AtomicSize *at, size_t value)
{
    ATOMIC_FENCE();
    *at = (AtomicSigned)value;
}

static inline void size_add_relaxed(AtomicSize *at, size_t value)
{
    ATOMIC_ADD_SIZE(at, (AtomicSigned)value);
}

static inline void size_add_release(AtomicSize *at, size_t value)
{
    ATOMIC_ADD_SIZE(at, (AtomicSigned)value);
}

static inline size_t size_fetch_add_relaxed(AtomicSize *at, size_t value)
{
    return (size_t)ATOMIC_ADD_SIZE(at, (AtomicSigned)value);
}

static inline void size_sub_relaxed(AtomicSize *at, size_t value)
{
    ATOMIC_ADD_SIZE(at, -(AtomicSigned)value);
}

static inline size_t size_sub_acq_rel(AtomicSize *at, size_t value)
{
    return (size_t)ATOMIC_ADD_SIZE(at, -(AtomicSigned)value);
}

static inline int size_swap_seq_cst(AtomicSize *at, size_t expected, size_t value)
{
    return (size_t)ATOMIC_SWAP_SIZE(at, (AtomicSigned)value, (AtomicSigned)expected) ==
           expected;
}

static inline void *ptr_load_acquire(AtomicPtr *at)
{
    void *value = *at;
    ATOMIC_FENCE();
    return value;
}

static inline void ptr_store_release(AtomicPtr *at, void *value)
{
    ATOMIC_FENCE();
    *at = value;
}

static inline void fence_acquire(void)
{
    ATOMIC_FENCE();
}

static inline void fence_release(void)
{
    ATOMIC_FENCE();
}

#endif /* POOL_MSVC_ATOMICS */

/* NOT_INLINE is for the slow path of a function whose fast path is short: if it was
 * inlined, the fast path would have to save registers as well. */
#if defined(__GNUC__)
#  define NOT_INLINE __attribute__((noinline))
#  define ALWAYS_INLINE inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#  define NOT_INLINE __declspec(noinline)
#  define ALWAYS_INLINE __forceinline
#else
#  define NOT_INLINE
#  define ALWAYS_INLINE inline
#endif

/* The address to which the function returns in which this stands. */
#if defined(__GNUC__)
#  define RETURN_ADDRESS() __builtin_return_address(0)
#elif defined(_MSC_VER)
#  define RETURN_ADDRESS() _ReturnAddress()
#else
#  define RETURN_ADDRESS() NULL
#endif

/* Tells the processor that this is a spin loop. */
static inline void cpu_relax(void)
{
#if defined(_MSC_VER) && !defined(__clang__)
#  if defined(_M_ARM64) || defined(_M_ARM)
    __yield();
#  else
    _mm_pause();
#  endif
#elif defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

/* Prefetches a cache line that will be used soon; the address may be invalid. */
static inline void cpu_prefetch(const volatile void *address)
{
#if defined(__GNUC__)
    __builtin_prefetch((const void *)address);
#elif defined(_M_X64) || defined(_M_IX86)
    _mm_prefetch((const char *)address, _MM_HINT_T0);
#else
    (void)address;
#endif
}

#endif /* POOL_ATOMICS_H */
