# SPDX-License-Identifier: MIT
"""Images of pools in files: raw, Intel HEX, S-records, ELF, deltas.

formats.py chooses the format, and locations.py opens the file.
"""
