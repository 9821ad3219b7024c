# SPDX-License-Identifier: MIT
"""Measures pymempool beside its peers: python benchmarks/python/run.py --help."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import content
import pins
import rows as calls
import sharing
import stores
import sweeps
import tables
from rows import GIB, MIB, Bench, Row

from pymempool import __version__
from pymempool._core.words import human_ratio, human_time

ROWS = {**calls.ROWS, **pins.ROWS, **content.ROWS, **sharing.ROWS}
HEAD = ["", "what", "who", "median", "quartiles", "ratio", "goal", "reached"]


def main() -> int:
    options = parse()
    bench = Bench(options.rounds, 256 * MIB, GIB)
    if options.quick:
        bench = Bench(min(options.rounds, 7), 64 * MIB, GIB // 4)
    lines, rows = [], []
    for row in bench.rows(ROWS, options.rows):
        rows.append(row)
        lines += table_lines(row)
        print(f"measured {row.key}: {row.what}", file=sys.stderr)
    show(lines)
    result: dict[str, Any] = {"machine": machine(), "rows": [r.as_json() for r in rows]}
    if options.plots:
        result["sweeps"] = sweeps.measure(bench.rounds, options.quick)
    result["not_measured"] = stores.not_measured
    for name, why in stores.not_measured.items():
        print(f"not measured: {name}: {why}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    if options.plots:
        import plots

        plots.draw(result, options.plots)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less memory, fewer rounds")
    parser.add_argument("--rounds", type=int, default=31, help="at least 7 (default: 31)")
    parser.add_argument("--rows", type=keys, default=set(), help="such as P1,P4")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    parser.add_argument(
        "--plots", type=Path, metavar="DIR", help="measure and draw what plots show too"
    )
    options = parser.parse_args()
    if options.rounds < 7:
        parser.error("medians of fewer than 7 rounds say nothing")
    return options


def keys(text: str) -> set[str]:
    wanted = set(text.split(","))
    if not wanted <= set(ROWS):
        raise argparse.ArgumentTypeError(f"rows are {', '.join(ROWS)}")
    return wanted


def machine() -> dict[str, Any]:
    return {
        "pymempool": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
    }


def table_lines(row: Row) -> list[list[str]]:
    """The pool first, then its reference, then the others from quick to slow."""
    others = sorted(
        (name for name in row.timings if name not in ("pool", row.reference)),
        key=lambda name: row.timings[name].median,
    )
    order = ["pool", *([row.reference] if row.reference else []), *others]
    lines = []
    for name in order:
        timing = row.timings[name]
        if row.unit == "x":
            told = [f"{timing.median:.2f} x", f"{timing.low:.2f} .. {timing.high:.2f}"]
        else:
            low, high = human_time(timing.low), human_time(timing.high)
            told = [human_time(timing.median), f"{low} .. {high}"]
        ratio = ""
        if row.reference:
            ratio = human_ratio(timing.median / row.timings[row.reference].median)
        lines.append(["", "", name, *told, ratio, "", ""])
    lines[0][:2] = [row.key, row.what]
    lines[0][-2:] = [row.told_goal(), "yes" if row.reached else "NO"]
    return lines


def show(lines: list[list[str]]) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return tables.show(HEAD, lines)
    table = Table()
    for name in HEAD:
        table.add_column(name, justify="right" if name in ("median", "ratio") else "left")
    for line in lines:
        if line[0]:
            table.add_section()
        table.add_row(*line)
    console = Console()
    console.width = max(console.width, 140)
    console.print(table)
    return None


if __name__ == "__main__":
    sys.exit(main())
