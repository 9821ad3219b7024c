/* SPDX-License-Identifier: MIT */
/*
 * written.c - written.h: why it can be relied on, and the switch for tests
 *
 * A caller keeps a frozen copy of each page, and wants to know in which pages memory and
 * copy may differ. It may rely on this: a page that is neither found by a scan nor
 * written to by the caller since equals what it was when it last began to count as not
 * written.
 *
 * Protect, then copy. The caller scans with protect first and copies the pages found
 * then. A write before that is in the copy. A write after it makes the page written
 * again, whether or not the copy has caught it, and the next scan finds it. The other
 * order loses the write that falls between copying and protecting. If the copy cannot be
 * made, the caller must remember the pages that were found: they no longer count as
 * written.
 *
 * What makes a page count as not written: written_watch and written_protect (all pages
 * named), written_scan with protect (the pages it reports, and no others: where it
 * stops early it has touched nothing behind *stop). When that call says false, some pages
 * may have been protected and not reported, so all count as written.
 *
 * What makes it count as written: any store by any thread, and by the system for a call
 * such as read; and a release of its memory (MADV_DONTNEED). Pages that are swapped out
 * and in keep their state.
 *
 * What does not: a device that writes to memory which the system looked up for it before
 * (a read with O_DIRECT that is under way, buffers registered with io_uring). The caller
 * has to end such a transfer first, and to store a byte in each of its pages.
 */
#include "base.h"

/* The environment variable POOL_WRITTEN_PAGES names the service to be used: "scan" or
 * "watch" on a system with another one, or "none", make the library do without. */
enum { WRITTEN_NOT_ASKED, WRITTEN_ALLOWED, WRITTEN_FORBIDDEN };
static AtomicSize written_switch;

/* Whether the service of that name may be used. The environment is read once. */
static inline bool written_is_allowed(const char *name)
{
    size_t allowed = size_load_relaxed(&written_switch);
    if (allowed == WRITTEN_NOT_ASKED) {
        const char *wanted = getenv("POOL_WRITTEN_PAGES");
        allowed = wanted == NULL || *wanted == '\0' || strcmp(wanted, name) == 0
                      ? WRITTEN_ALLOWED
                      : WRITTEN_FORBIDDEN;
        size_store_relaxed(&written_switch, allowed);
    }
    return allowed == WRITTEN_ALLOWED;
}
