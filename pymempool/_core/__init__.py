# SPDX-License-Identifier: MIT
"""What a pool does, as functions of its owner; MemoryPool in pool.py calls them."""
