# SPDX-License-Identifier: MIT
"""Pools shared between processes: one copy of the data in anonymous shared memory.

share.py      what MemoryPool.share() does
snapshot.py   SharedSnapshot: opened, pickled, closed
table.py      which bytes of a pool lie where in which segment, and when to store anew
segment.py    a segment: an anonymous shared memory object, of posix.py or windows.py
late.py       errors of loading a segment, which open() raises
"""
