/* SPDX-License-Identifier: MIT */
/*
 * frozen.pml - no write through a pin is lost, whenever clones are made (dirty.c, freeze.c)
 *
 * A pin of two blocks of two words each, all in one page. A write and the system's note of
 * it are one step, as is the scan that finds a written page and protects it again.
 * Comparing and copying take a step for each word.
 *
 *     Writer   changes any words through the pin, some of them there and back; not
 *              during a restore
 *     Caller   makes two calls, which it chooses: a clone, which may fail when it has
 *              collected what was written, a view of the first block, or a restore from
 *              the last clone; then, when the writer has finished, a last clone
 *
 * Each collection chooses whether it protects (else the pin is open), and the system may
 * refuse to watch. What a clone has of each word must be a value that the word had during
 * the call. After a restore the frozen copies and the data are what was restored. The last
 * clone has all that was written.
 *
 *  MUTATION COPY_BEFORE_PROTECT   the page is protected when all was compared and copied
 *  MUTATION SCAN_IN_TWO_STEPS     the page is found, and then protected
 *  MUTATION COMPARE_BEFORE_WATCH  pages are compared, and then watched
 *  MUTATION COMPARE_TWICE         the comparison reads a word again that it found different
 *  MUTATION BITS_BEFORE_COPY      dirty bits are cleared before the call can still fail
 *  MUTATION FAILURE_FORGETS       a call that fails clears the bits
 *  MUTATION CLEAN_AFTER_COPY      a copy makes the page count as not written to
 *  MUTATION NEIGHBOUR_FORGOTTEN   a view compares its own block only, protecting the page
 *  MUTATION UNWATCHED_IS_CLEAN    a pin that is not watched counts as not written to
 *  MUTATION OPEN_IS_CLEAN         an open pin is not compared
 *  MUTATION RESTORE_WRITTEN_ONLY  a restore writes only the blocks that were written to
 */
#define WRITES 3
#define CALLS 2

bool data[4], frozen[4], saved[4]; /* words; two of each block */
bool dirty[2], copied[2];
bool written; /* the page, since it was protected */
bool watched, restoring, finished;
byte seen[4]; /* the values that a word had during this call: 1, 2, or both */

proctype Writer()
{
    byte writes, w;
    do
    :: writes < WRITES ->
        writes++;
        select(w : 0 .. 3);
        atomic {
            !restoring;
            data[w] = !data[w];
            seen[w] = 3;
            written = true
        }
    :: writes == WRITES -> break
    od;
    finished = true
}

inline begin()
{
    d_step {
        w = 0;
        do
        :: w < 4 ->
            seen[w] = 1 + data[w];
            w++
        :: else -> break
        od;
        w = 0
    }
}

/* Begins to watch, if the system does. */
inline watch()
{
    atomic {
        if
        :: watched = true; written = false
        :: watched = false
        fi
    }
}

#ifdef COMPARE_TWICE
#define set_dirty(b, w)                                                                \
    if                                                                                 \
    :: data[w] != frozen[w] -> dirty[b] = true                                         \
    :: else                                                                            \
    fi
#else
#define set_dirty(b, w) dirty[b] = true
#endif

inline compare(b)
{
    if
    :: dirty[b]
    :: !dirty[b] && data[2 * b] != frozen[2 * b] -> set_dirty(b, 2 * b)
    :: else ->
        if
        :: data[2 * b + 1] != frozen[2 * b + 1] -> set_dirty(b, 2 * b + 1)
        :: else
        fi
    fi
}

/* Finds whether the page was written to, and protects it or not. */
inline scan()
{
#ifdef SCAN_IN_TWO_STEPS
    found = written;
    written = false
#else
    atomic {
        found = written;
        if
#ifdef COPY_BEFORE_PROTECT
        :: true
#else
        :: written = false
        :: true ->
#ifdef OPEN_IS_CLEAN
            found = false
#else
            skip
#endif
#endif
        fi
    }
#endif
}

inline collect(neighbour)
{
    if
    :: watched ->
        scan();
        if
        :: found ->
            compare(0);
            if
            :: neighbour -> compare(1)
            :: else
            fi
        :: else
        fi
    :: else ->
#ifndef UNWATCHED_IS_CLEAN
#ifdef COMPARE_BEFORE_WATCH
        compare(0);
        compare(1);
        watch()
#else
        watch();
        compare(0);
        compare(1)
#endif
#else
        watch()
#endif
    fi;
    found = false
}

inline freeze(b)
{
    if
    :: copied[b] ->
        frozen[2 * b] = data[2 * b];
        frozen[2 * b + 1] = data[2 * b + 1];
#ifdef CLEAN_AFTER_COPY
        written = false;
#endif
        atomic { dirty[b] = false; copied[b] = false }
    :: else
    fi
}

#define was_seen(w) ((seen[w] & (1 + frozen[w])) != 0)

inline clone(may_fail)
{
    begin();
    collect(true);
    d_step {
        copied[0] = dirty[0];
        copied[1] = dirty[1];
#ifdef BITS_BEFORE_COPY
        dirty[0] = false;
        dirty[1] = false
#endif
    };
    if
    :: may_fail ->
        d_step {
            copied[0] = false;
            copied[1] = false;
#ifdef FAILURE_FORGETS
            dirty[0] = false;
            dirty[1] = false
#endif
        }
    :: true ->
        freeze(0);
        freeze(1);
#ifdef COPY_BEFORE_PROTECT
        written = false;
#endif
        d_step {
            assert(was_seen(0) && was_seen(1) && was_seen(2) && was_seen(3));
            saved[0] = frozen[0];
            saved[1] = frozen[1];
            saved[2] = frozen[2];
            saved[3] = frozen[3]
        }
    fi
}

inline view()
{
    begin();
#ifdef NEIGHBOUR_FORGOTTEN
    collect(false);
#else
    collect(true);
#endif
    copied[0] = dirty[0];
    freeze(0);
    assert(was_seen(0) && was_seen(1))
}

#ifdef RESTORE_WRITTEN_ONLY
#define is_other(b) false
#else
#define is_other(b)                                                                    \
    (frozen[2 * b] != saved[2 * b] || frozen[2 * b + 1] != saved[2 * b + 1])
#endif

/* Gives one block the saved words, which become its frozen copy. */
inline put(b)
{
    if
    :: found || dirty[b] || is_other(b) ->
        data[2 * b] = saved[2 * b];
        data[2 * b + 1] = saved[2 * b + 1];
        written = true
    :: else
    fi;
    frozen[2 * b] = saved[2 * b];
    frozen[2 * b + 1] = saved[2 * b + 1];
    dirty[b] = false
}

/* No other thread has anything to do with the pin meanwhile: one step. */
inline restore()
{
    atomic {
        restoring = true;
        found = written || !watched;
        put(0);
        put(1);
        if
        :: watched -> written = false
        :: watched /* it stays open */
        :: else -> watch()
        fi;
        found = false;
        assert(data[0] == frozen[0] && data[1] == frozen[1]);
        assert(data[2] == frozen[2] && data[3] == frozen[3]);
        restoring = false
    }
}

proctype Caller()
{
    byte calls, w;
    bool found;
    do
    :: calls < CALLS ->
        calls++;
        if
        :: clone(true)
        :: view()
        :: restore()
        fi
    :: calls == CALLS -> break
    od;
    finished;
    clone(false);
    assert(frozen[0] == data[0] && frozen[1] == data[1]);
    assert(frozen[2] == data[2] && frozen[3] == data[3])
}

init
{
    atomic {
        run Writer();
        run Caller()
    }
}
