# SPDX-License-Identifier: MIT
"""Makes the plain docstrings of pymempool into reStructuredText.

name: what it is,         becomes    :param name: what it is, on two lines
    on two lines
a line that is further in            a block of code
`code`, read(), PoolError            code, links to what the names stand for
"""

from __future__ import annotations

import re

import pymempool

_PARAMETER = re.compile(r"(\w+(?:, \w+)*): (.*)")


def to_markup(lines: list[str]) -> list[str]:
    """The lines of a docstring, marked up."""
    marked: list[str] = []
    paragraphs = re.split(r"\n\s*\n", "\n".join(lines).rstrip())
    for number, paragraph in enumerate(paragraphs):
        parts = paragraph.split("\n")
        if _PARAMETER.match(parts[0]) and number > 0:
            marked += _parameters(parts)
        elif parts[0].startswith("    "):
            marked += [".. code-block:: python", "", *parts]
        else:
            marked += [_inline(part) for part in parts]
        marked.append("")
    return marked


def _parameters(lines: list[str]) -> list[str]:
    marked: list[str] = []
    for line in lines:
        start = _PARAMETER.match(line)
        if start:
            *others, last = start[1].split(", ")
            marked += [f":param {other}:" for other in others]
            marked += [f":param {last}: {_inline(start[2])}"]
        else:
            marked.append(f"    {_inline(line.strip())}")
    return marked


_TOKEN = re.compile(
    r"`(?P<code>[^`]+)`|(?P<call>\b[a-z][\w.]*)\(\)|(?P<error>\bPool[A-Z]\w+)|(?P<special>[*|_\\])"
)


def _inline(text: str) -> str:
    return _TOKEN.sub(_mark, text)


def _mark(match: re.Match[str]) -> str:
    code, call, name = match["code"], match["call"], match["error"]
    if code:
        return f"``{code}``"
    if call:
        known = [
            f"{owner}{call}"
            for owner, thing in (
                ("MemoryPool.", pymempool.MemoryPool),
                ("", pymempool),
                ("PoolFile.", pymempool.PoolFile),
            )
            if hasattr(thing, call)
        ]
        return f":py:func:`{call}() <pymempool.{known[0]}>`" if known else f"``{call}()``"
    if name:
        return f":py:class:`~pymempool.{name}`" if hasattr(pymempool, name) else name
    return f"\\{match['special']}"
