# SPDX-License-Identifier: MIT
"""Segment, of the system that this is, and how it is pickled.

Two ways lead to another process. An *address* says where the segment is: good for any
number of loads, as long as the owner keeps the segment. Picklers of multiprocessing and
of loky add the *descriptor* itself (a handle on Windows), for one load: it keeps the
segment alive on its way, so that the sender may drop its own at once.
"""

from __future__ import annotations

import sys
from multiprocessing import reduction

if sys.platform == "win32":
    from .windows import Segment as Segment
else:
    from .posix import Segment as Segment

_LOKY = "loky.backend.reduction", "joblib.externals.loky.backend.reduction"

reduction.register(Segment, Segment.reduce_with_descriptor)


def register_with_loky() -> None:
    """Does for loky's picklers, if they are imported, what is done for the others."""
    for name in _LOKY:
        if name in sys.modules:
            sys.modules[name].register(Segment, Segment.reduce_with_descriptor)
