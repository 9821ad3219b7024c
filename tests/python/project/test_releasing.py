# SPDX-License-Identifier: MIT
"""What decides whether a tag is published, and for which versions of Python CI runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from documents import ROOT

from pymempool import __version__

if os.name == "nt":
    pytest.skip("the scripts are for POSIX shells", allow_module_level=True)
if shutil.which("bash") is None:
    pytest.skip("there is no bash", allow_module_level=True)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of what `.ci/check-tag` looks at, ready to be released."""
    for file in (".ci/check-tag", "c/memory_pool.h"):
        (tmp_path / file).parent.mkdir()
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## [{__version__}] - 2026-12-01\n\n## [0.0.9] - 2026-11-01\n"
    )
    (tmp_path / "tests" / "evidence" / "abi").mkdir(parents=True)
    (tmp_path / "tests" / "evidence" / "abi" / f"memory_pool-{__version__}.abi").touch()
    return tmp_path


def check_tag(sources: Path, *tag: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sources / ".ci" / "check-tag", *tag], capture_output=True, text=True, timeout=60
    )


def test_the_tag_of_the_version(sources: Path) -> None:
    result = check_tag(sources, f"v{__version__}")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    "tag",
    [
        __version__,
        f"V{__version__}",
        f"v{__version__}.1",
        f"v{__version__}rc1",
        f"v1{__version__}",
        f"v{__version__.replace('.', '-')}",
        f"v{__version__.rpartition('.')[0]}",
        "v0.0.9",  # an older one, with an entry of its own
        "v",
        "",
    ],
)
def test_another_tag(sources: Path, tag: str) -> None:
    result = check_tag(sources, tag)
    assert result.returncode != 0 and result.stdout == ""


def test_no_tag(sources: Path) -> None:
    assert check_tag(sources).returncode != 0


@pytest.mark.parametrize(
    "heading",
    [
        f"## [Unreleased] - {__version__}",
        f"## [{__version__}]",
        f"## [{__version__}] - soon",
        f"## [{__version__}] - 2026-12-01 or later",
        f"## [1{__version__}] - 2026-12-01",
        f"## [{__version__.replace('.', '0')}] - 2026-12-01",
    ],
)
def test_a_changelog_without_the_release(sources: Path, heading: str) -> None:
    (sources / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
    result = check_tag(sources, f"v{__version__}")
    assert result.returncode != 0 and "CHANGELOG.md" in result.stderr


def test_an_abi_that_was_not_recorded(sources: Path) -> None:
    (sources / "tests" / "evidence" / "abi" / f"memory_pool-{__version__}.abi").unlink()
    result = check_tag(sources, f"v{__version__}")
    assert result.returncode != 0 and "tests/evidence/abi/run record" in result.stderr


def test_a_header_without_a_version(sources: Path) -> None:
    (sources / "c" / "memory_pool.h").write_text("")
    for tag in ("v", "v.", "v..", f"v{__version__}"):
        assert check_tag(sources, tag).returncode != 0


def test_versions_of_python() -> None:
    script = ROOT / ".ci" / "python-versions"
    versions = json.loads(subprocess.check_output([script], text=True, timeout=60))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    classified = re.findall(r"Programming Language :: Python :: (\d+\.\d+)", project)
    assert versions == classified != []
    assert f'requires-python = ">={versions[0]}"' in project
