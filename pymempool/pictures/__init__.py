# SPDX-License-Identifier: MIT
"""Pictures of a pool: the states of its blocks by address, and what has changed.

runs ─► segments (model) ─► picture (layout) ─┬─► text
                                 labels ──────┼─► svg
                                              └─► plot, for matplotlib

The methods of MemoryPool call draw.
"""
