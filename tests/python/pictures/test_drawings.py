# SPDX-License-Identifier: MIT
"""Pictures as SVG, in notebooks and with matplotlib, against what is to be drawn.

That nothing overlaps in a browser is seen by tests/evidence/pictures/run.
"""

from __future__ import annotations

import io
import random
import re
import runpy
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from internals import COLOURS, COLUMN, MARGIN, STATES, Counts, Picture, Scale, columns_of
from picture_pools import BLOCK, everything

from pymempool import MemoryPool, PoolRangeError, PoolUnrelatedError

ROOT = Path(__file__).resolve().parents[3]
SVG = "{http://www.w3.org/2000/svg}"


def scattered() -> tuple[MemoryPool, MemoryPool, Any]:
    """Everything, and many small runs in the midst of a hole."""
    pool, base, held = everything(4000)
    for block in range(1000, 1500, 3):
        pool.write(block * BLOCK, b"part")
    return pool, base, held


def picture_of(
    pool: MemoryPool, base: MemoryPool | None = None, columns: int = 240
) -> Picture:
    return Picture(pool, base, Scale(columns, fold=6, least=4))


def texts_of(svg: str) -> list[str]:
    return [
        element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")
    ]


def bars_of(svg: str, colour: str) -> list[tuple[int, float, float]]:
    """What is painted in a colour, each column as (column, height, top)."""
    bars = []
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        if path.get("fill") == colour:
            for each in re.findall(
                r"M(\d+) ([\d.]+)h(\d+)v([\d.]+)h-\d+z", path.get("d", "")
            ):
                left, top, width, height = map(float, each)
                first = int(left - MARGIN) // COLUMN
                bars += [
                    (column, height, top)
                    for column in range(first, first + int(width) // COLUMN)
                ]
    return bars


# -------------------------------------------------------------------- the shares


def test_shares_of_a_stack() -> None:
    counts = Counts(0, 100)
    assert counts.levels(0.1) == [(0, 0)] * 4
    counts.totals[0] = 100
    assert counts.levels(0.1)[0] == (0, 1)
    counts.totals[:4] = [50, 0, 0, 1]
    data, shared, adopted, pinned = counts.levels(0.1)
    assert data == (0, pytest.approx(0.5))
    assert shared == adopted == (data[1], data[1])
    assert pinned == (data[1], pytest.approx(0.5 + 0.1 + 0.8 * 0.01))


def test_stacks_of_any_cells() -> None:
    chance = random.Random(1)
    for _ in range(500):
        counts = Counts(0, 1000)
        left = 1000
        for what in range(4):
            counts.totals[what + chance.choice([0, 8])] = chance.randrange(left + 1)
            left -= counts.of(what)
        low = 0.0
        for state, level in enumerate(counts.levels(0.07)):
            assert level[0] == low
            low = level[1]
            assert (level[1] - level[0] >= 0.0699) == (counts.of(state) > 0)
        assert low <= 1.0001
        assert (low > 0.9999) == (counts.held == counts.size)


# ----------------------------------------------------------------------- the SVG


def test_every_cell_is_painted() -> None:
    pool, base, held = scattered()
    svg, picture = pool.svg(since=base), picture_of(pool, base)
    assert any(0 < cell.held < cell.size / 2 for cell in picture.cells)
    assert columns_of(760) == 240
    for state, colour in enumerate(COLOURS):
        heights = {column: height for column, height, _ in bars_of(svg, colour)}
        for cell in picture.cells:
            low, high = cell.levels(3 / 44)[state]
            for column in range(cell.column, cell.column + cell.columns):
                expected = pytest.approx((high - low) * 44, abs=0.011)
                assert heights.pop(column, 0) == expected
        assert not heights
    del held


def test_what_is_said() -> None:
    pool, base, held = scattered()
    texts = texts_of(pool.svg(since=base))
    picture = picture_of(pool, base)
    for state, name in enumerate(STATES):
        assert picture.of(state)
        assert any(text.startswith(f"{name} ") for text in texts)
    assert any(text.startswith("changed ") for text in texts)
    for group in picture.groups:
        assert any(f"{group.start:#x}  " in text for text in texts)
    said = " ".join(texts)
    assert f"MemoryPool of {4000 * BLOCK - 7} bytes" in said
    assert "changed" not in " ".join(texts_of(pool.svg()))
    del held


def test_changes_are_marked_below_the_cells() -> None:
    pool, base, held = scattered()
    picture = picture_of(pool, base)
    changed = [
        cell.column + n
        for cell in picture.cells
        if cell.changed
        for n in range(cell.columns)
    ]
    marks = re.search(
        r'<path d="([^"]*)" shape-rendering="crispEdges"/>', pool.svg(since=base)
    )
    assert marks
    painted = [
        (int(left) - MARGIN) // COLUMN + n
        for left, width in re.findall(r"M(\d+) [\d.]+h(\d+)", marks[1])
        for n in range(int(width) // COLUMN)
    ]
    assert painted == changed
    del held


def test_shortened_holes_have_a_sign() -> None:
    pool = MemoryPool(2**31, 4096)
    assert "shortened" not in texts_of(pool.svg())
    pool.write(2**30, b"x")
    svg = pool.svg()
    assert "shortened" in texts_of(svg)
    assert svg.count("l4-10M") == 3  # two holes, and the legend


@pytest.mark.parametrize("width", [480, 481, 760, 4000])
def test_nothing_is_too_wide(width: int) -> None:
    pool, base, held = scattered()
    svg = pool.svg(since=base, width=width)
    root = ElementTree.fromstring(svg)
    assert root.get("viewBox", "").split()[2] == root.get("width") == str(width)
    for text in texts_of(svg):
        assert text.strip()
        assert len(text) * 7.3 <= width - 2 * MARGIN
    for item in root.iter(f"{SVG}g"):
        place = re.match(r"translate\(([\d.]+) ", item.get("transform", ""))
        if place:  # of the legend
            end = float(place[1]) + (2 + len(item[-1].text or "")) * 7.3
            assert end <= width - MARGIN
    for colour in COLOURS:
        assert all(column < columns_of(width) for column, _, _ in bars_of(svg, colour))
    del held


@pytest.mark.parametrize("total", [1, 2, 100, 2**31])
def test_pools_of_any_size(total: int) -> None:
    pool = MemoryPool(total)
    assert "nothing is held" in texts_of(pool.svg())
    pool[total - 1] = 1
    assert bars_of(pool.svg(), COLOURS[0])
    assert "nan" not in pool.svg().lower()


def test_many_runs_are_few_shapes() -> None:
    pool = MemoryPool(20_000 * BLOCK, BLOCK)
    pool.scatter(range(0, 20_000 * BLOCK, 2 * BLOCK), b"x" * 10_000)
    assert len(pool.svg()) < 20_000
    assert len(bars_of(pool.svg(), COLOURS[0])) == 240


def test_several_on_one_page() -> None:
    pool, base, held = scattered()
    root = ElementTree.fromstring(f"<div>{pool.svg()}{pool.svg(since=base)}</div>")
    assert not [each for each in root.iter() if each.get("id") or each.get("class")]
    for style in root.iter(f"{SVG}style"):
        # What it says holds for a picture that is a file by itself, and for nothing else.
        selectors = re.findall(r"([\w:.#]+)\{(?=color)", style.text or "")
        assert selectors == ["svg:root"] * 2
    del held


def test_colours_are_seen_on_any_page() -> None:
    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colour in COLOURS:
        for page in ("#ffffff", "#111111"):
            low, high = sorted([light(colour), light(page)])
            assert (high + 0.05) / (low + 0.05) >= 3
    assert len(set(COLOURS)) == len(STATES)


def test_svg_is_the_same_each_time() -> None:
    pool, base, held = scattered()
    assert pool.svg(since=base) == pool.svg(since=base)
    before = pool.stats
    pool.svg(since=base)
    assert pool.stats == before
    del held


@pytest.mark.parametrize("width", [479, 4001, -1, 2**70])
def test_width_out_of_range(width: int, pool: MemoryPool) -> None:
    with pytest.raises(PoolRangeError, match="width"):
        pool.svg(width=width)


def test_arguments_of_wrong_kinds(pool: MemoryPool) -> None:
    with pytest.raises(TypeError, match="width must be an integer"):
        pool.svg(width=760.0)  # type: ignore[arg-type]
    for draw in (pool.svg, pool.plot):
        with pytest.raises(TypeError, match="a MemoryPool is needed"):
            draw(since=b"")  # type: ignore[operator]
        with pytest.raises(PoolUnrelatedError):
            draw(since=MemoryPool(4096, 64))  # type: ignore[operator]
    for wrong in ("x", 1, pool):
        with pytest.raises(TypeError, match="ax must be Axes"):
            pool.plot(wrong)


def test_the_picture_in_the_documentation() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "site" / "map.py"))
    assert script["draw"]() == (ROOT / "docs" / "map.svg").read_text("utf-8")


# ------------------------------------------------------------------- in notebooks


def test_what_a_notebook_shows() -> None:
    pool, base, held = scattered()
    html = pool._repr_html_()
    assert pool.svg() in html
    cells = dict(
        zip(re.findall("<th>(.*?)</th>", html), re.findall("<td>(.*?)</td>", html))
    )
    assert cells["blocks"] == str(pool.stats.held_blocks)
    assert cells["shared"] == "8"
    assert cells["pinned"] == "1"
    assert cells["pools in the family"] == "2"
    assert cells["memory limit"] == "none"
    ElementTree.fromstring(html)
    assert "<td>1 MiB</td>" in MemoryPool(64, memory_limit=2**20)._repr_html_()
    del held, base


def test_a_closed_pool_in_a_notebook(pool: MemoryPool) -> None:
    pool.close()
    assert pool._repr_html_() == "<code>&lt;MemoryPool, closed&gt;</code>\n"


# --------------------------------------------------------------------- matplotlib


@pytest.fixture
def axes() -> Any:
    """Axes of a figure that pyplot knows nothing of."""
    figure = pytest.importorskip("matplotlib.figure")
    agg = pytest.importorskip("matplotlib.backends.backend_agg")
    made = figure.Figure()
    agg.FigureCanvasAgg(made)
    return made.subplots()


def labels_of(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_plot_says_what_the_svg_says(axes: Any) -> None:
    pool, base, held = scattered()
    assert pool.plot(axes, since=base) is axes
    texts = texts_of(pool.svg(since=base))
    assert axes.get_title(loc="left") == texts[0]
    keys = [text.get_text() for text in axes.get_xticklabels()]
    picture = picture_of(pool, base)
    assert keys[-1][-1] == chr(ord("a") + len(picture.groups) - 1)
    labels = labels_of(axes)
    assert [label.split()[0] for label in labels] == [
        *STATES,
        "hole",
        "changed",
        "shortened",
    ]
    assert set(labels) <= set(texts)
    assert axes.get_xlabel().split("\n")[0].split() == ["start", "end", "size"]
    axes.figure.savefig(io.BytesIO(), format="png")
    del held


def test_plot_paints_every_cell(axes: Any) -> None:
    pool, base, held = scattered()
    pool.plot(axes, since=base)
    picture = picture_of(pool, base)
    patches = {patch.get_label().split()[0]: patch.get_data() for patch in axes.patches}
    for state, name in enumerate(STATES):
        values, edges, baseline = patches[name]
        levels = [cell.levels(0.07)[state] for cell in picture.cells]
        assert list(zip(baseline, values)) == levels
        assert list(edges[:-1]) == [cell.column for cell in picture.cells]
        assert edges[-1] == 240
    assert list(patches["hole"][0]) == [not cell.folded for cell in picture.cells]
    assert not all(patches["hole"][0])
    values, _, baseline = patches["changed"]
    assert list(values > baseline) == [cell.changed > 0 for cell in picture.cells]
    del held


def test_plot_of_holes_and_nothing(axes: Any) -> None:
    pool = MemoryPool(2**31, 4096)
    pool.plot(axes)
    assert labels_of(axes) == ["hole 2 GiB"]
    assert axes.get_xlabel() == "nothing is held"
    axes.clear()
    pool.write(2**30, b"x")
    pool.plot(axes)
    assert labels_of(axes)[-1] == "shortened"
    assert len(axes.lines[0].get_xdata()) == 2
    axes.clear()
    full = MemoryPool(4096)
    full.fill(0, 1, 4096)
    full.plot(axes)
    assert labels_of(axes) == ["data 4 KiB"]


def test_keys_that_would_meet_share_a_tick(axes: Any) -> None:
    pool = MemoryPool(10_000 * BLOCK, BLOCK)
    pool.fill(0, 1, 9_000 * BLOCK)
    for number in range(3):
        pool.discard((2 * number + 1) * BLOCK, BLOCK)
    pool.plot(axes)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["a\N{EN DASH}d"]


def test_axes_that_are_given_need_no_pyplot(
    axes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    MemoryPool(64).plot(axes)
    with pytest.raises(ImportError, match=r"pip install 'pymempool\[plot\]'") as caught:
        MemoryPool(64).plot()
    assert caught.value.name == "matplotlib"


def test_a_figure_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    pool, base, held = scattered()
    ax = pool.plot(since=base)
    try:
        assert len(pyplot.get_fignums()) == len(before) + 1
        ax.figure.savefig(io.BytesIO(), format="svg")
        box = ax.get_window_extent()
        assert box.height > 50  # the words leave room for the picture
    finally:
        pyplot.close(ax.figure)
    del held
