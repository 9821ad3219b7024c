# SPDX-License-Identifier: MIT
"""mempool:// as paths of universal_pathlib, and under its own tests."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

upath = pytest.importorskip("upath", reason="universal_pathlib is not installed")
registry = pytest.importorskip("upath.registry", reason="universal_pathlib is too old")

import fsspec  # noqa: E402
from internals import MempoolPath  # noqa: E402

from pymempool.filesystem import MempoolFileSystem  # noqa: E402

FILES = {
    "folder1/file1.txt": b"file1.txt",
    "folder1/file2.txt": b"file2.txt",
    "file1.txt": b"hello world",
    "file2.txt": b"hello world",
}


@pytest.fixture(autouse=True)
def fs() -> Iterator[Any]:
    """The store paths, with what entry points do where the package is installed."""
    fsspec.register_implementation("mempool", MempoolFileSystem, clobber=True)
    registry.register_implementation("mempool", MempoolPath, clobber=True)
    MempoolFileSystem.drop("paths")
    system = MempoolFileSystem("paths")
    system.pipe({f"/base/{name}": data for name, data in FILES.items()})
    yield system
    MempoolFileSystem.drop("paths")


def test_all_spellings_are_one_path(fs: Any) -> None:
    path = upath.UPath("mempool://paths/base/file1.txt")
    assert type(path) is MempoolPath
    assert path.storage_options == {"name": "paths"}
    for same in (
        upath.UPath("/base/file1.txt", protocol="mempool", name="paths"),
        upath.UPath("mempool:///base/file1.txt", name="paths"),
        upath.UPath("mempool://paths/base") / "file1.txt",
        upath.UPath("mempool://paths") / "base" / "file1.txt",
        pickle.loads(pickle.dumps(path)),
    ):
        assert same == path
        assert same.path == "/base/file1.txt"
        assert same.read_bytes() == b"hello world"
        assert same.fs == fs
    with fsspec.open(path.as_uri(), **path.storage_options) as file:
        assert file.read() == b"hello world"


def test_a_path_without_a_store_opens_none() -> None:
    with pytest.raises(ValueError, match="name"):
        upath.UPath("mempool:///base/file1.txt").write_bytes(b"lost")


def test_paths_of_two_stores() -> None:
    MempoolFileSystem.drop("other")
    source, target = (upath.UPath(f"mempool://{name}/x") for name in ("paths", "other"))
    source.write_text("1")
    target.write_text("2")
    assert (source.read_text(), target.read_text()) == ("1", "2")
    source.copy(target)
    assert target.read_text() == "1"
    assert [path.name for path in target.parent.iterdir()] == ["x"]
    assert sorted(p.name for p in source.parent.glob("**/*.txt")) == sorted(
        name.rpartition("/")[2] for name in FILES
    )
    MempoolFileSystem.drop("other")


try:
    from upath.tests.cases import BaseTests
except ImportError:  # they are in its source distribution, and in no wheel

    def test_those_of_universal_pathlib() -> None:
        pytest.skip("the tests of universal_pathlib are not installed")

else:

    class Fixtures(BaseTests):  # type: ignore[misc]
        """What its tests take."""

        @pytest.fixture
        def local_testdir(self, tmp_path: Path) -> str:
            (tmp_path / "folder1").mkdir()
            for name, data in FILES.items():
                (tmp_path / name).write_bytes(data)
            return tmp_path.as_posix()

        @pytest.fixture
        def pathlib_base(self, local_testdir: str) -> Path:
            return Path(local_testdir)

        @pytest.fixture
        def clear_fsspec_memory_cache(self) -> None:
            memory = fsspec.get_filesystem_class("memory")
            memory.store.clear()
            memory.pseudo_dirs[:] = [""]

        def test_is_correct_class(self) -> None:
            assert type(self.path) is MempoolPath

    class TestUrl(Fixtures):
        """A path that is made from a URL."""

        @pytest.fixture(autouse=True)
        def path(self, fs: Any) -> None:
            self.path = upath.UPath("mempool://paths/base")

    class TestOptions(Fixtures):
        """A path that is made from a path and options."""

        @pytest.fixture(autouse=True)
        def path(self, fs: Any) -> None:
            self.path = upath.UPath("/base", protocol="mempool", name="paths")
