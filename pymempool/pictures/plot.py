# SPDX-License-Identifier: MIT
"""Draws a picture of a pool on axes of matplotlib (extra `plot`).

The x axis has the columns, as in the SVG, and the y axis the shares of the states in a
column. Only new_axes() imports matplotlib: a caller with axes has imported it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any

from .._core.words import human
from .labels import amounts, heading, key, listing
from .layout import Picture
from .svg import COLOURS

COLUMNS = 240
_LETTERS = 96  # of a line below the axes
_LEAST = 0.07  # the least height of a state
_LANE = (-0.18, -0.08)  # the lower and upper edge of the marks of changes
_KEY_COLUMNS = 8  # the width of a range of keys, such as "a-c"


def new_axes(picture: Picture) -> Any:
    """Returns axes in a new figure whose size fits the picture. Raises ImportError."""
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise ImportError(
            "plots are drawn by matplotlib: pip install 'pymempool[plot]'",
            name="matplotlib",
        ) from error
    inches = 2.2 + 0.14 * len(listing(picture, _LETTERS))
    return pyplot.subplots(figsize=(9, inches), layout="constrained")[1]


def draw_plot(picture: Picture, ax: Any) -> None:
    """Draws the picture on axes, with its text in their title, legend and labels."""
    if not hasattr(ax, "stairs"):
        raise TypeError(f"ax must be Axes of matplotlib, not {type(ax).__name__}")
    cells = picture.cells
    edges = [*(cell.column for cell in cells), COLUMNS]
    ink = ax.xaxis.label.get_color()

    def draw(levels: Iterable[tuple[float, float]], words: str, **how: Any) -> None:
        low, high = zip(*levels)
        ax.stairs(high, edges, baseline=low, fill=True, linewidth=0, label=words, **how)

    *states, hole = [(size, f"{name} {human(size)}") for name, size in amounts(picture)]
    stacks = [cell.levels(_LEAST) for cell in cells]
    for (size, words), colour, levels in zip(states, COLOURS, zip(*stacks)):
        if size:
            draw(levels, words, color=colour)
    if hole[0]:
        ground = [(0.0, 0.0 if cell.folded else 1.0) for cell in cells]
        draw(ground, hole[1], color=ink, alpha=0.13, zorder=0.5)
    if picture.compared:
        low, high = _LANE
        marks = [(low, high if cell.changed else low) for cell in cells]
        draw(marks, f"changed {human(picture.changed)}", color=ink)
    folds = [cell.column + cell.columns / 2 for cell in cells if cell.folded]
    if folds:
        sign = {"linestyle": "none", "marker": "$//$", "markersize": 9, "color": ink}
        ax.plot(folds, [0.5] * len(folds), label="shortened", **sign)
    _write(picture, ax)


def _write(picture: Picture, ax: Any) -> None:
    ticks: dict[int, str] = {}  # by column; keys that would overlap share one
    for number, group in enumerate(picture.groups):
        at = max(ticks, default=-_KEY_COLUMNS)
        if group.column - at >= _KEY_COLUMNS:
            ticks[group.column] = key(number)
        else:
            ticks[at] = f"{ticks[at][0]}\N{EN DASH}{key(number)}"
    ax.set_title("\n".join(heading(picture, _LETTERS)), loc="left", fontsize=10, pad=22)
    ax.set_xticks([*ticks], [*ticks.values()])
    ax.set_yticks([])
    ax.set_xlim(0, COLUMNS)
    ax.set_ylim(_LANE[0] - 0.02 if picture.compared else 0, 1)
    ax.spines[:].set_visible(False)
    table = "\n".join(listing(picture, _LETTERS))
    ax.set_xlabel(table, loc="left", family="monospace", fontsize=8)
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=6,
        frameon=False,
        fontsize=8,
        borderaxespad=0,
        handlelength=1,
    )
