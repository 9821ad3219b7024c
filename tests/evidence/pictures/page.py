# SPDX-License-Identifier: MIT
"""Writes an HTML page with the pictures of all sorts of pools, and a script to check it.

    page.py FILE light|dark [BREAKAGE]

What the script found is the text of the element `report` when the page is loaded: a line
`failed: ...` for each fault, and at the end `checked: ...`. With a BREAKAGE, one of
BREAKAGES, the pictures are spoilt first, and the script must find it.
"""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path

from pools import Sort, sorts

BREAKAGES = {
    "overlap": (r'(<text x="20" y=")\d+"', r'\g<1>70"'),
    "outside": (r'<text x="20"', '<text x="700"'),
    "shape": (r'd="M(\d+) ', r'd="M-5 '),
    "nan": (r'<text x="20"', '<text x="NaN"'),
    "empty": (r">[^<>]+</text>", "></text>"),
    "colour": (r"<text ", '<text fill="black" '),
    "id": (r"<text ", '<text id="a" '),
}
PAGES = {"light": ("#ffffff", "#222222"), "dark": ("#111111", "#eeeeee")}


def main() -> None:
    file, mode, *breakage = sys.argv[1:]
    background, colour = PAGES[mode]
    script = Path(__file__).with_name("check.js").read_text("utf-8")
    page = (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{mode}</title><style>'
        f"body {{ background: {background}; color: {colour}; font: 14px sans-serif }}"
        "table { font-size: 12px; margin-left: 16px } th, td { padding: 1px 10px 1px 4px;"
        " text-align: left } h2 { font-size: 14px; margin: 24px 20px 0 }"
        f"</style></head><body>\n{''.join(map(section, sorts()))}"
    )
    for name in breakage:
        page = re.sub(*BREAKAGES[name], page)
    page += f'<pre id="report"></pre><script>\n{script}</script></body></html>\n'
    Path(file).write_text(page, "utf-8")


def section(sort: Sort) -> str:
    """All forms of a picture: as notebooks show it, with what has changed, narrow."""
    parts = [sort.pool._repr_html_()]
    if sort.since is not None:
        parts.append(sort.pool.svg(since=sort.since))
    if not sort.pool.closed:
        parts.append(sort.pool.svg(since=sort.since, width=480))
    return f"<section><h2>{escape(sort.name)}</h2>\n{''.join(parts)}</section>\n"


if __name__ == "__main__":
    main()
