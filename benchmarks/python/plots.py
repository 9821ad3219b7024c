# SPDX-License-Identifier: MIT
"""Draws what run.py measured, as PNG and SVG: python plots.py FILE.json DIR."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot, ticker

pyplot.rcParams.update(
    {
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#e4e4e4",
        "axes.axisbelow": True,
        "svg.hashsalt": "pymempool",  # the same file from the same numbers
        "legend.frameon": False,
    }
)

# The pool is what the eye should find; what bounds it is black; peers are apart from
# each other for those who see no red or green as well.
COLOURS = {
    "pool": "#d1495b",
    "pool.readinto": "#d1495b",
    "pool.read": "#e8a0aa",
    "clone of a pool": "#d1495b",
    "pool, blocks of 4 KiB": "#d1495b",
    "pool, 4 KiB blocks": "#d1495b",
    "pool, blocks of 64 KiB": "#5c1a25",
    "pool, 64 KiB blocks": "#5c1a25",
    "memcpy": "#222222",
    "ctypes memmove": "#222222",
    "CDLL memmove": "#222222",
    "what was written": "#222222",
}
OTHERS = ["#00798c", "#edae49", "#30638e", "#7a9e7e", "#8e6c8a", "#9c6b30", "#5fb0c9"]
POWERS = {0: "B", 10: "KiB", 20: "MiB", 30: "GiB", 40: "TiB", 50: "PiB", 60: "EiB"}


def draw(result: dict[str, Any], folder: Path) -> None:
    """Each plot of which there are numbers."""
    curves = result.get("sweeps", {})
    machine = result["machine"]
    note = f"Python {machine['python']}, {machine['system']}; medians and quartiles"
    for name, plot in PLOTS.items():
        if curves.get(name.partition(" ")[0]):
            save(plot(curves), folder / name.partition(" ")[2], note)


def save(figure: Any, path: Path, note: str) -> None:
    """As PNG and SVG, with a note in the corner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.text(0.99, 0.01, note, ha="right", fontsize=8, color="#777777")
    for suffix in (".png", ".svg"):
        metadata = {"Date": None} if suffix == ".svg" else None
        figure.savefig(path.with_suffix(suffix), dpi=130, metadata=metadata)
    pyplot.close(figure)


def lines(axes: Any, curves: dict[str, list[list[float]]], scale: float = 1.0) -> None:
    others = iter(OTHERS)
    for name, points in curves.items():
        x, low, median, high = (list(column) for column in zip(*points))
        low, median, high = ([scale * y for y in ys] for ys in (low, median, high))
        mine = name.startswith(("pool", "clone of a pool"))
        colour = COLOURS.get(name) or next(others)
        style = "--" if name == "what was written" else "-"
        axes.plot(
            x,
            median,
            style,
            color=colour,
            label=name,
            marker="o",
            markersize=4 if mine else 3,
            linewidth=(1.4 if "64 KiB" in name else 2.8) if mine else 1.4,
            zorder=3 if mine else 2,
        )
        axes.fill_between(x, low, high, color=colour, alpha=0.1, linewidth=0)


def bytes_axis(axis: Any) -> None:
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: human_bytes(value)))
    axis.set_minor_locator(ticker.NullLocator())


def human_bytes(value: float) -> str:
    power = max((p for p in POWERS if 2**p <= value), default=0)
    return f"{value / 2**power:g} {POWERS[power]}"


def time_axis(axis: Any) -> None:
    def told(seconds: float, _: int) -> str:
        units = [(1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s")]
        unit, name = next((u for u in units if seconds < 999 * u[0]), units[-1])
        return f"{seconds / unit:g} {name}"

    axis.set_major_formatter(ticker.FuncFormatter(told))


def label_ends(axes: Any, curves: dict[str, list[list[float]]]) -> None:
    """The names at the right ends of the lines, pushed apart where they would collide."""
    axes.figure.canvas.draw()
    ends = []
    for line, name in zip(axes.get_lines(), curves):
        x, y = line.get_xdata()[-1], line.get_ydata()[-1]
        ends.append([axes.transData.transform((x, y)), name, line.get_color()])
    ends.sort(key=lambda end: end[0][1])
    height, last = 17 * axes.figure.dpi / 100, -1e9
    for (x, y), name, colour in ends:
        last = max(y, last + height)
        at = axes.transData.inverted().transform((x + 10, last))
        axes.text(*at, name, color=colour, va="center", clip_on=False)


def sizes(curves: dict[str, Any]) -> Any:
    figure, both = pyplot.subplots(1, 2, figsize=(12, 6.6), sharey=True)
    for axes, kind in zip(both, ("read", "write")):
        lines(axes, curves[kind])
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks([4**power for power in range(0, 13, 2)])
        bytes_axis(axes.xaxis)
        axes.set_xlabel("bytes in a call")
        axes.set_title(f"{kind}s, anywhere in memory", loc="left")
    time_axis(both[0].yaxis)
    both[0].set_ylabel("time of a call")
    handles, names = both[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncol=4, bbox_to_anchor=(0.5, 0.03))
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    return figure


def threads(curves: dict[str, Any]) -> Any:
    figure, axes = pyplot.subplots(figsize=(8, 5.5))
    names = {"pool": "pool.readinto"}
    curves = {names.get(name, name): each for name, each in curves["threads"].items()}
    lines(axes, curves, 1e-9)
    axes.set_xticks([1, 2])
    axes.set_xlim(0.95, 2.05)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("threads")
    axes.set_ylabel("GB/s, all threads together")
    axes.set_title("Python threads that read 1 MiB at a time", loc="left")
    figure.tight_layout(rect=(0, 0.03, 0.8, 1))
    label_ends(axes, curves)
    return figure


def snapshots(curves: dict[str, Any]) -> Any:
    figure, axes = pyplot.subplots(figsize=(9, 5.5))
    lines(axes, curves["snapshots"])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks([point[0] for point in next(iter(curves["snapshots"].values()))])
    bytes_axis(axes.xaxis)
    time_axis(axes.yaxis)
    axes.set_xlabel("bytes held")
    axes.set_ylabel("time of a snapshot")
    axes.set_title("A snapshot of what is held", loc="left")
    figure.tight_layout(rect=(0, 0.03, 0.8, 1))
    label_ends(axes, curves["snapshots"])
    return figure


def footprint(curves: dict[str, Any]) -> Any:
    figure, axes = pyplot.subplots(figsize=(9, 5.5))
    lines(axes, curves["footprint"])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks([8 * 16**power for power in range(5)])
    axes.set_yticks([2**power for power in range(4, 30, 4)])
    bytes_axis(axes.xaxis)
    bytes_axis(axes.yaxis)
    axes.set_xlabel("bytes written, 8 at a time, anywhere in 1 TiB")
    axes.set_ylabel("bytes resident, page tables included")
    axes.set_title("Memory for isolated writes (no bytearray can be 1 TiB)", loc="left")
    figure.tight_layout(rect=(0, 0.03, 0.79, 1))
    label_ends(axes, curves["footprint"])
    return figure


#: The curves that a plot needs, and the name of its files.
PLOTS = {
    "read cost-against-size": sizes,
    "threads throughput-against-threads": threads,
    "snapshots snapshot-against-held": snapshots,
    "footprint resident-against-written": footprint,
}

if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
