# SPDX-License-Identifier: MIT
"""Shows a MemoryPool in gdb: what it holds, who refers to it, and who made it.

    (gdb) print *pool
    $1 = pool of 1048576 bytes in blocks of 4096: holds 8192, 1 reference, ... = {...}

gdb loads this file by itself with a library that was installed into a prefix where gdb
looks for such files; else type `source` and its path. It needs the library's debug
information, which `-g` adds; a library with POOL_DEBUG also knows who made a pool. It
reads memory and calls nothing in the process, so that it works with core files as well.
"""

import gdb
import gdb.printing


def number(value):
    """An integer, which may be atomic."""
    return int(value.cast(gdb.lookup_type("unsigned long long")))


def held_blocks(pool):
    """How many blocks the tree of a pool has, those in two places twice."""
    # The second word of a Node, whose name a program may use for a type of its own.
    words = pool["tree"]["root"].cast(pool["refs"].type.pointer())
    return number(words[1]) if words else 0


def memory_limit(arena):
    """The limit of a family in bytes, or "none"."""
    limit = arena["limit"]
    is_none = number(limit) == (1 << 8 * limit.type.sizeof) - 1
    return "none" if is_none else str(number(limit))


def place(made):
    """Where a pool was made, as a debug library knows it."""
    if made["file"]:
        return f"{made['file'].string()}:{number(made['line'])}"
    return str(made["address"])


class MemoryPoolPrinter:
    """In one line the sizes, what the pool holds, its references, family and limit; as
    children what is less often asked for."""

    def __init__(self, pool):
        self.pool = pool

    def to_string(self):
        pool = self.pool
        block_size = 1 << number(pool["block_shift"])
        references = number(pool["refs"])
        return (
            f"pool of {number(pool['total_size'])} bytes in blocks of {block_size}:"
            f" holds {held_blocks(pool) * block_size},"
            f" {references} reference{'' if references == 1 else 's'},"
            f" family {number(pool['family']):#x},"
            f" limit {memory_limit(pool['family']['arena'])}"
        )

    def children(self):
        pool, family = self.pool, self.pool["family"]
        yield "family_bytes", number(family["arena"]["held"])
        yield "family_pools", number(family["pools"])
        yield "family_views", number(family["views"])
        yield "pinned_blocks", number(pool["pinned"])
        yield "copied_blocks", number(pool["copied"])
        try:
            made = pool["handle"]["made"]
        except gdb.error:  # the library was not built with POOL_DEBUG
            return
        yield "made", place(made)


def build():
    printers = gdb.printing.RegexpCollectionPrettyPrinter("memory_pool")
    printers.add_printer("MemoryPool", "^MemoryPool$", MemoryPoolPrinter)
    return printers


gdb.printing.register_pretty_printer(gdb.current_objfile(), build(), replace=True)
