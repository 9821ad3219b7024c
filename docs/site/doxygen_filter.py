# SPDX-License-Identifier: MIT
"""Makes the plain comments of memory_pool.h into those that Doxygen reads.

    /* Text before a declaration. */     becomes    /** ... */
    size_t size;  /* text behind it */   becomes    /**< ... */

The words stay as they are, but that names of functions get the parentheses by which
Doxygen knows them and makes links of them. Lines such as `max_block_size  1 .. SIZE_MAX`
become parameters, lines that are further in become code, and the rows of POOL_STATUS_LIST
become the values of their enumeration, each with its text.
"""

from __future__ import annotations

import re
import sys

_COMMENT = re.compile(
    r"^(?P<before>[^\n]*?)/\*(?P<text>.*?)\*/", re.DOTALL | re.MULTILINE
)
_STATUS = re.compile(r'X\((\w+), (\d+), +"(.*?)"\)')


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        header = file.read()
    statuses = _STATUS.findall(header)
    rows = [f"{name} = {number}, /* {text} */\n" for name, number, text in statuses]
    # Before these are the concepts and the guards, behind them more guards.
    header = header[header.index("/* ---") : header.rindex("#ifdef __cplusplus")]
    header = re.sub(r"#define POOL_STATUS_LIST.*?\n\n", "", header, flags=re.DOTALL)
    header = re.sub(r"\s*POOL_\w*MAX_ = 0x7fffffff( /\*.*?\*/)?", "", header)  # no values
    header = header.replace(" Each row: name, number, text of pool_status_text.", "")
    header = header.replace("    POOL_STATUS_LIST(POOL_STATUS_ENUM)\n", "".join(rows))
    # Without a word on the file itself, Doxygen makes no links to what is in it.
    sys.stdout.write("/** @file */\n" + _COMMENT.sub(_documented, header))


def _documented(match: re.Match[str]) -> str:
    before, text = match["before"], match["text"]
    if text.startswith(" ---"):  # the heading of a section
        return ""
    if before.strip():
        return f"{before}/**<{_plain(text)} */"
    lines = [re.sub(r"^ \* ?", "", line) for line in text.strip().split("\n")]
    return f"{before}/**\n{_marked(lines)}\n*/"


def _plain(text: str) -> str:
    text = _linked(text)
    return " ".join(re.sub(r"^ *\* ?", "", line).strip() for line in text.split("\n"))


def _marked(lines: list[str]) -> str:
    marked: list[str] = []
    listed = False
    for line in lines:
        parameter = re.match(r"(\w+)  +(.*)", line)
        flag = re.match(r"POOL_\w+: ", line)
        if parameter:
            line = f"@param {parameter[1]} {parameter[2]}"
        elif marked and marked[-1].startswith("@param"):
            marked.append("")
        elif flag:
            line = f"- {line}"
        elif listed and line:
            line = f"  {line}"
        elif line.startswith("    "):
            line = f"@code\n{line.strip()}\n@endcode"
        listed = bool(flag or (listed and line))
        marked.append(line if line.startswith("@code") else _linked(line))
    return "\n".join(marked)


def _linked(text: str) -> str:
    """With the names of functions as Doxygen recognises them."""
    return re.sub(r"\b(pool_\w+)\b(?!\()", r"\1()", text)


main()
