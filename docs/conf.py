# SPDX-License-Identifier: MIT
"""How Sphinx makes the site of these pages.

    sphinx-build -W --keep-going docs SITE

It needs Doxygen and `pip install '.[docs]'`. The reference of C comes from the comments
of memory_pool.h by Doxygen and breathe, that of Python from the docstrings of the package
that is installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

import pymempool

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "site"))

from docstrings import to_markup  # noqa: E402

project = "memory_pool"
author = "the authors of memory_pool"
project_copyright = "the authors of memory_pool, MIT licence"
version = release = pymempool.__version__

extensions = ["breathe", "myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["site"]
nitpicky = True
# What has no page in the reference: names of the standard library's stubs, and ours that
# stand for "any of these".
nitpick_ignore_regex = [
    (
        "py:class",
        r"_typeshed\.\w+|collections\.abc\.\w+|pathlib\.Path|ReadableBuffer|WriteableBuffer|StrOrBytesPath|PathLike|Supports\w+",
    ),
    (
        "py:class",
        r"(.*\.)?_Buffer|Owned|.*\.Progress|Progress|FailAllocation|(ctypes\.)?CDLL|.*\.Layout|.*AnyMergeable",
    ),
    ("py:class", r".*\._Pool"),
    ("py:class", r"(distributed\.client\.)?Client"),
    ("c:identifier", r"size_t|u?int\w*_t"),
]

html_theme = "furo"
html_title = f"memory_pool {version}"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
templates_path: list[str] = []

highlight_language = "text"
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
add_module_names = False
copybutton_exclude = ".linenos, .gp, .go"

# Files outside of docs/ that have a page on the site, which includes them.
PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "README.md": "project/readme.md",
    "RELEASING.md": "project/releasing.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "benchmarks/nbd/README.md": "project/benchmarks-nbd.md",
    "benchmarks/python/README.md": "project/benchmarks-python.md",
    "c/nbdkit/README.md": "project/nbdkit.md",
    "examples/README.md": "howto/examples.md",
    "tests/evidence/README.md": "project/evidence.md",
    "tests/evidence/long/README.md": "project/long-tests.md",
    "tests/evidence/models/README.md": "project/models.md",
}

# ------------------------------------------------------------------------- Doxygen

DOXYGEN = """
INPUT = "{header}"
OUTPUT_DIRECTORY = "{output}"
INPUT_FILTER = "\\"{python}\\" \\"{filter}\\""
GENERATE_HTML = NO
GENERATE_LATEX = NO
GENERATE_XML = YES
XML_PROGRAMLISTING = NO
OPTIMIZE_OUTPUT_FOR_C = YES
MARKDOWN_SUPPORT = NO
MACRO_EXPANSION = YES
EXPAND_ONLY_PREDEF = YES
PREDEFINED = POOL_API=
QUIET = YES
WARN_AS_ERROR = YES
WARN_IF_UNDOCUMENTED = NO
"""


def run_doxygen(output: Path) -> None:
    """Reads the comments of memory_pool.h into XML."""
    output.mkdir(parents=True, exist_ok=True)
    settings = DOXYGEN.format(
        header=DOCS.parent / "c" / "memory_pool.h",
        output=output,
        python=sys.executable,
        filter=DOCS / "site" / "doxygen_filter.py",
    )
    subprocess.run(["doxygen", "-"], input=settings, text=True, check=True)


breathe_default_project = "memory_pool"
breathe_domain_by_extension = {"h": "c"}
breathe_show_include = False


# --------------------------------------------------------------------------- hooks


def turn_links(text: str, folder: Path) -> str:
    """The links of a file in the folder, as they have to be on the site."""

    def turned(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(folder / match[1]))
        if not target.is_file():
            return match[0]
        outside = target.relative_to(DOCS.parent).as_posix()
        path = PAGES.get(outside) or os.path.relpath(target, DOCS).replace(os.sep, "/")
        return f"](/{path}{match[2] or ''})"

    return re.sub(r"\]\(([^)\s:#]+)(#[^)\s]*)?\)", turned, text.replace("\r", ""))


def read_page(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = turn_links(source[0], (DOCS / page).parent)


def read_included(app: Sphinx, path: Path, page: str, source: list[str]) -> None:
    source[0] = turn_links(source[0], (DOCS / path).parent)


def read_docstring(
    app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    lines[:] = to_markup(lines)


def setup(app: Sphinx) -> None:
    output = Path(os.path.abspath(app.outdir), ".doxygen")
    run_doxygen(output)
    app.config.breathe_projects = {"memory_pool": str(output / "xml")}
    app.connect("source-read", read_page)
    app.connect("include-read", read_included)
    app.connect("autodoc-process-docstring", read_docstring)
