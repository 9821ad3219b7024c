# SPDX-License-Identifier: MIT
"""Draws how costs grow, from the JSON of the C benchmarks: growth.py FILE.json DIR."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import quantiles
from typing import Any

from matplotlib import pyplot
from plots import bytes_axis, lines, save, time_axis

Curves = dict[str, list[list[float]]]
MICROSECOND = 1e-6


class Results:
    """The cases of a run, by their titles."""

    def __init__(self, result: dict[str, Any]) -> None:
        self._cases = {case["title"]: case["contenders"] for case in result["cases"]}

    def points(self, title: str) -> list[list[float]]:
        """Each contender at its place on an axis: [x, low, median, high]."""
        found = []
        for contender in self._cases[title]:
            if contender["values"]:
                low, median, high = quantiles(contender["values"], method="inclusive")
                found.append([contender["scale"], low, median, high])
        return found

    def against_threads(self, size: str, scale: float) -> Curves:
        """Bytes or calls a second of each contender, with one and with two threads."""
        curves: Curves = {}
        for threads in (1, 2):
            title = f"{size}, 90 % reads, threads: {threads}"
            names = [c["name"] for c in self._cases[title] if c["values"]]
            for name, point in zip(names, self.points(title)):
                values = [scale * value for value in point[1:]]
                curves.setdefault(name, []).append([threads, *values])
        return curves


def draw(result: dict[str, Any], folder: Path) -> None:
    note = f"{result['processor']}, {result['processors']} processors, load "
    note += f"{result['load_at_start']:.1f} to {result['load_at_end']:.1f}; "
    note += f"medians and quartiles of {result['rounds']} rounds"
    save(costs(Results(result)), folder / "growth", note)


def costs(results: Results) -> Any:
    figure, grid = pyplot.subplots(2, 2, figsize=(12, 9))
    create(grid[0][0], results)
    held(grid[0][1], results)
    alive(grid[1][0], results)
    threads(grid[1][1], results)
    figure.tight_layout(rect=(0, 0.03, 1, 1), h_pad=2.5)
    return figure


def create(axes: Any, results: Results) -> None:
    points = results.points("create and destroy, by total size")
    lines(axes, {"pool": points}, MICROSECOND)
    axes.set_xscale("log", base=2)
    axes.set_xticks([2**power for power in (12, 20, 30, 40, 50, 63)])
    bytes_axis(axes.xaxis)
    flat_time_axis(axes, 1e-6)
    axes.set_xlabel("total size of the pool")
    axes.set_title("To make a pool and end it", loc="left")


def held(axes: Any, results: Results) -> None:
    points = results.points("clone, by bytes held")
    lines(axes, {"pool": points}, MICROSECOND)
    axes.set_xscale("log", base=2)
    axes.set_xticks([2**power for power in range(20, 35, 2)])
    bytes_axis(axes.xaxis)
    flat_time_axis(axes, 1e-6)
    axes.set_xlabel("bytes held")
    axes.set_title("To clone it", loc="left")


def alive(axes: Any, results: Results) -> None:
    curves = {
        "clone of a pool": "clone of 16 MiB, by clones alive at the end",
        "first write to a clone": "first write to a clone of 16 MiB, by clones alive",
        "write to a block of its own": "write to a block of its own, by clones alive",
    }
    found = {name: results.points(title) for name, title in curves.items()}
    lines(axes, found, MICROSECOND)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([10**power for power in range(5)])
    axes.set_xticklabels(["1", "10", "100", "1,000", "10,000"])
    time_axis(axes.yaxis)
    axes.set_xlabel("clones alive of a pool of 16 MiB")
    axes.set_title("With many clones", loc="left")
    axes.legend(fontsize=9, loc="upper left")


def threads(axes: Any, results: Results) -> None:
    curves = results.against_threads("8 bytes", 1)
    lines(axes, curves)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.003)  # room for the legend
    axes.set_xticks([1, 2])
    axes.set_xlim(0.95, 2.05)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("threads")
    axes.set_ylabel("million calls a second, all together")
    axes.set_title("8 bytes anywhere in 256 MiB, 90 % reads", loc="left")
    axes.legend(fontsize=9, ncol=2, loc="lower center")


def flat_time_axis(axes: Any, least_top: float) -> None:
    """From zero, so that what does not grow looks like it."""
    axes.set_ylim(0, max(least_top, 1.2 * axes.get_ylim()[1]))
    time_axis(axes.yaxis)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
