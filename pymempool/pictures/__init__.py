# SPDX-License-Identifier: MIT
"""Pictures of a pool: what is where in it, and what has changed.

runs ─► segments (model) ─► picture (layout) ─┬─► text
                                 labels ──────┼─► svg
                                              └─► plot, for matplotlib
"""
