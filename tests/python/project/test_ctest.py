"""The C tests, built by CMake and run by CTest, as tests of this suite.

One command thus tests everything. They are built and run once, side by side; after that
each has a test here that says how it went.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = sorted(path.stem for path in (ROOT / "tests" / "c").glob("test_*.c"))
# What CTest runs beside them, see tests/c/CMakeLists.txt.
CHECKS = ["demo", "exports", "fuzz_replay", "header", "install"]
CHECKS += ["consumer_package", "consumer_subdirectory", "consumer_fetch"]
if os.name != "nt":
    CHECKS += ["demo_by_hand", "consumer_pkg_config"]
if sys.platform == "linux":
    CHECKS += ["gdb"]

pytestmark = pytest.mark.skipif(
    os.name == "nt" and not any(map(shutil.which, ("cl", "clang", "gcc"))),
    reason="no C compiler on this Windows",
)


def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs one of CMake's tools, the one installed beside this Python if there is one."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    program = shutil.which(tool, path=path)
    assert program is not None, f"{tool} is missing; pip install '.[test]' brings it"
    return subprocess.run(
        [program, *map(str, arguments)],
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """For each test of CTest its status ("run", "fail", "notrun") and its output."""
    build = tmp_path_factory.mktemp("ctest")
    for arguments in (
        ("-S", ROOT, "-B", build, "-G", "Ninja"),
        ("--build", build, "--parallel", "2"),
    ):
        done = run("cmake", *arguments)
        assert done.returncode == 0, done.stdout

    report = build / "report.xml"
    done = run("ctest", "--test-dir", build, "--parallel", "2", "--output-junit", report)
    assert report.exists(), done.stdout
    return {
        case.attrib["name"]: (case.attrib["status"], case.findtext("system-out") or "")
        for case in ElementTree.parse(report).getroot().iter("testcase")
    }


def test_none_is_forgotten(results: dict[str, tuple[str, str]]) -> None:
    assert sorted(results) == sorted(PROGRAMS + CHECKS)


@pytest.mark.parametrize("name", PROGRAMS + CHECKS)
def test_c(name: str, results: dict[str, tuple[str, str]]) -> None:
    status, output = results[name]
    if status == "notrun" and "skipped: " in output:
        pytest.skip(output.strip())
    assert status == "run", output
