# SPDX-License-Identifier: MIT
"""The private names that tests use: no other file here imports them from pymempool.

What needs Dask, fsspec or multiprocessing is imported when it is asked for.
"""

# ruff: noqa: F401
from __future__ import annotations

import importlib
from ctypes import c_size_t
from typing import Any

from pymempool import (
    errors as errors_module,
    history as history_module,
    pool as pool_module,
)
from pymempool._core import (
    adoption as adoption_module,
    content as content_module,
    file as file_module,
    locks as locks_module,
    pins as pins_module,
    ranges as ranges_module,
    runs as runs_module,
    walks as walks_module,
    words as words_module,
)
from pymempool._core.owner import CLOSED, Owner
from pymempool._core.weak import WeakObjects, weak
from pymempool._native import (
    handles as handles_module,
    library as library_module,
    paths as paths_module,
    places as places_module,
    signatures as signatures_module,
)
from pymempool._native.buffers import BYTES_MAX, fresh_bytes, readable
from pymempool._native.calls import QUICK_BYTES, parallel, quick, read_stats
from pymempool._native.descriptors import Descriptor, opened
from pymempool._native.finalizers import function
from pymempool._native.near import NEAR
from pymempool._native.signatures import (
    RELEASE_FUNCTION,
    SIGNATURES,
    SIZE_MAX,
    PoolReport,
    PoolView,
    Signature,
    StatsStruct,
)
from pymempool.cli import (
    bench as bench_module,
    config as config_module,
    control as control_module,
    demo as demo_module,
    diff as diff_module,
    dump as dump_module,
    inputs as inputs_module,
    inspect as inspect_module,
    outputs as outputs_module,
    progress as progress_module,
    serve as serve_module,
    serve_display as serve_display_module,
    serve_resources as serve_resources_module,
    terminal as terminal_module,
    timing as timing_module,
)
from pymempool.cli.errors import CommandError
from pymempool.cli.inputs import Image
from pymempool.images import (
    alike as alike_module,
    formats as formats_module,
    intel_hex as intel_hex_module,
    raw as raw_module,
    replacement as replacement_module,
    sniff as sniff_module,
    srec as srec_module,
)
from pymempool.images.builder import PoolBuilder
from pymempool.pictures.layout import Picture, Scale, lanes
from pymempool.pictures.model import GROUPS, STATES, Counts, _merge
from pymempool.pictures.svg import COLOURS, COLUMN, MARGIN, columns_of
from pymempool.testing import sanitizers as sanitizers_module
from pymempool.testing.reports import _place
from pymempool.testing.spares import spare_references
from pymempool.testing.tracking import track, tracked

#: How many objects pools use the memory of, and how many views and pins somebody has.
count_adopted = function("count_adopted", c_size_t)
count_windows = function("count_windows", c_size_t)


def live() -> list[Any]:
    """What is told of the views and pins made since track(True) that somebody has."""
    return [window.label for window in tracked()]


_LATER = {
    "pymempool.distributed.addresses": (
        "TOTAL_MAX",
        "Layout",
        "merged",
    ),
    "pymempool.distributed.messages": (
        "messages_module",
        "Transport",
        "UnreachableError",
        "WorkerTransport",
        "Numbers",
    ),
    "pymempool.distributed.part": (
        "CHANGES",
        "End",
        "AppliedChanges",
        "Part",
        "Sizes",
    ),
    "pymempool.distributed.placement": (
        "placement_module",
        "_version_finder",
    ),
    "pymempool.distributed.upkeep": (
        "Step",
        "next_step",
    ),
    "pymempool.filesystem.registry": ("registry_module",),
    "pymempool.filesystem.store": ("store_module",),
    "pymempool.filesystem.stored_file": ("LENGTH_MAX",),
    "pymempool.filesystem.universal": ("MempoolPath",),
    "pymempool.sharing.posix": ("posix_module",),
    "pymempool.sharing.segment": ("segment_module",),
    "pymempool.sharing.windows": ("windows_module",),
}


def __getattr__(name: str) -> Any:
    for home, names in _LATER.items():
        if name in names:
            module = importlib.import_module(home)
            return module if name.endswith("_module") else getattr(module, name)
    raise AttributeError(name)
