# SPDX-License-Identifier: MIT
"""storage_options= of save(), load() and apply(): they reach the file system of a URL."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from pymempool import MemoryPool

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")

from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402


class Vault(MemoryFileSystem):  # type: ignore[misc] # fsspec has no types
    """A file system that opens only with its key."""

    protocol = "vault"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012
    cachable = False

    def __init__(self, key: str = "", **options: Any) -> None:
        if key != "right":
            raise PermissionError(f"the key is {key!r}")
        super().__init__(**options)


KEY = {"key": "right"}


@pytest.fixture(autouse=True)
def vault() -> Iterator[None]:
    fsspec.register_implementation("vault", Vault, clobber=True)
    Vault.store.clear()
    yield
    Vault.store.clear()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_options_reach_the_file_system(pool: MemoryPool, suffix: str) -> None:
    url, delta = f"vault://image{suffix}", f"vault://delta{suffix}"
    base = pool.clone()
    pool.save(url, storage_options=KEY)
    pool.write(5, b"since")
    pool.save(delta, since=base, storage_options=KEY)
    with MemoryPool.load(url, storage_options=KEY) as loaded:
        assert loaded[:] == base[:]
        loaded.apply(delta, storage_options=KEY)
        assert loaded[:] == pool[:]
    assert KEY == {"key": "right"}


CALLS: dict[str, Callable[..., object]] = {
    "save": lambda pool, file, **options: pool.save(file, **options),
    "load": lambda pool, file, **options: type(pool).load(file, **options),
    "apply": lambda pool, file, **options: pool.apply(file, **options),
}


@pytest.mark.parametrize("call", CALLS)
def test_without_the_right_options(pool: MemoryPool, call: str) -> None:
    for options in ({}, {"storage_options": {"key": "wrong"}}, {"storage_options": None}):
        with pytest.raises(PermissionError, match="the key is"):
            CALLS[call](pool, "vault://image", **options)
    with pytest.raises(TypeError):
        CALLS[call](pool, "vault://image", storage_options={5: 6})
    assert not Vault.store


@pytest.mark.parametrize("call", CALLS)
def test_options_are_for_urls(pool: MemoryPool, call: str, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"image")
    local = f"file://{path.as_posix()}"
    for place in (path, str(path), local, io.BytesIO(b"image")):
        with pytest.raises(ValueError, match="storage_options are"):
            CALLS[call](pool, place, storage_options=KEY)
    assert path.read_bytes() == b"image"
    MemoryPool.load(local, storage_options={}).close()


def test_options_of_a_part_of_a_chained_url(pool: MemoryPool, tmp_path: Path) -> None:
    pool.save("vault://image", storage_options=KEY)
    cache = {"cache_storage": str(tmp_path)}
    options = {"vault": KEY, "simplecache": cache}
    url = "simplecache::vault://image"
    with MemoryPool.load(url, storage_options=options) as loaded:
        assert loaded[:] == pool[:]
    assert list(tmp_path.iterdir())
    with pytest.raises(PermissionError):
        MemoryPool.load(url, storage_options={"simplecache": cache})


def test_a_store_with_a_name(pool: MemoryPool) -> None:
    from pymempool.filesystem import MempoolFileSystem

    fsspec.register_implementation("mempool", MempoolFileSystem, clobber=True)
    pool.save("mempool://options/image", storage_options={"block_size": 64})
    fs = MempoolFileSystem("options", block_size=64)
    assert fs.cat("/image") == pool[:]
    MempoolFileSystem.drop("options")
