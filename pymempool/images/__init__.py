# SPDX-License-Identifier: MIT
"""Pools as images: raw, Intel HEX, S-records, ELF, checkpoints; and where they lie."""
