# SPDX-License-Identifier: MIT
"""help(), mocks, copies, notebooks: whatever looks into our classes and objects.

Such tools try names that an object may have, and take AttributeError for "no". An object
that raises something else there breaks them.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import os
import pickle
import pkgutil
import pydoc
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any
from unittest import mock

import pytest
from internals import CLOSED, Owner

import pymempool
from pymempool import MemoryPool, PoolClosedError, PoolFile

#: What of ours needs a package that may be missing.
NEEDED = {
    "distributed": "distributed",
    "filesystem": "fsspec",
    "filesystem.universal": "upath",
}


def modules() -> Iterator[str]:
    """The package, and those of its modules that can be imported here."""
    yield "pymempool"
    for found in pkgutil.walk_packages(pymempool.__path__, "pymempool."):
        _, first, *rest = parts = found.name.split(".")
        needed = {NEEDED.get(first), NEEDED.get(".".join([first, *rest]))} - {None}
        if not all(map(find_spec, needed)):
            continue
        # The library looks like an extension.
        if parts[-1] != "__main__" and not parts[-1].startswith("libmemory_pool"):
            yield found.name


def public() -> Iterator[tuple[str, Any]]:
    """Each public class and function by its name: what modules list in __all__."""
    for name in modules():
        if "._" in name:
            continue
        module = importlib.import_module(name)
        for each in getattr(module, "__all__", ()):
            thing = getattr(module, each)
            if hasattr(thing, "__module__"):  # a version has none
                yield f"{name}.{each}", thing


PUBLIC = dict(public())


def closed(thing: Any) -> Any:
    thing.close()
    return thing


class Mine(MemoryPool):
    """A subclass."""


def new_pool() -> MemoryPool:
    pool = MemoryPool(4096, 64)
    pool.write(0, b"something")
    return pool


INSTANCES: dict[str, Callable[[], Any]] = {
    "pool": new_pool,
    "closed pool": lambda: closed(new_pool()),
    "pool that was never made": lambda: MemoryPool.__new__(MemoryPool),
    "pool of a subclass": lambda: Mine(4096),
    "closed pool of a subclass": lambda: closed(Mine(4096)),
    "file": lambda: new_pool().open("r+b"),
    "closed file": lambda: closed(new_pool().open("r+b")),
    "file of a closed pool": lambda: file_of_a_closed_pool(),
    "view": lambda: new_pool().view(0, 5),
    "pin": lambda: new_pool().pin(0, 5),
    "window": lambda: new_pool().view(0, 5).obj,
    "stats": lambda: new_pool().stats,
    "extents": lambda: new_pool().extents(),
    "error": lambda: PoolClosedError("it is"),
    "stand-in": lambda: CLOSED,
}


def file_of_a_closed_pool() -> PoolFile:
    pool = new_pool()
    file = pool.open("r+b")
    pool.close()
    return file


@pytest.fixture(params=INSTANCES)
def instance(request: pytest.FixtureRequest) -> Any:
    return INSTANCES[request.param]()


# ------------------------------------------------------------------------- help


@pytest.mark.parametrize("name", [*modules()])
def test_help_on_modules(name: str) -> None:
    module = importlib.import_module(name)
    assert name in pydoc.plain(pydoc.render_doc(module))


def test_the_list_has_what_is_public() -> None:
    assert {f"pymempool.{name}" for name in pymempool.__all__} <= {
        *PUBLIC,
        "pymempool.__version__",
        "pymempool.tracemalloc_domain",
    }
    assert "pymempool.testing.assert_same" in PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_say_where_they_are_imported_from(name: str) -> None:
    home, _, last = name.rpartition(".")
    assert (PUBLIC[name].__module__, PUBLIC[name].__qualname__) == (home, last)


@pytest.mark.parametrize("name", PUBLIC)
def test_help_on_public_names(name: str) -> None:
    thing = PUBLIC[name]
    text = pydoc.plain(pydoc.render_doc(thing))
    assert name.rpartition(".")[2] in text
    for base in thing.__mro__ if inspect.isclass(thing) else ():
        if base.__module__.startswith("pymempool"):
            for method in vars(base):
                assert method.startswith("_") or method in text


def test_help_on_instances(instance: Any) -> None:
    assert type(instance).__name__ in pydoc.plain(pydoc.render_doc(instance))


def test_help_from_the_command_line() -> None:
    code = f"import sys, pydoc; sys.path[:] = {sys.path!r}; pydoc.cli()"
    done = subprocess.run(
        [sys.executable, "-c", code, "pymempool.MemoryPool"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert "class MemoryPool" in done.stdout, done.stderr
    assert done.returncode == 0


# ------------------------------------------------------------- signatures, members


@pytest.mark.parametrize("name", PUBLIC)
def test_signatures(name: str) -> None:
    thing = PUBLIC[name]
    if inspect.isclass(thing) and issubclass(thing, (Exception, pymempool.BlockState)):
        return  # theirs are those of Python
    if callable(thing):
        assert inspect.signature(thing) is not None
    if inspect.isclass(thing):
        for member, value in inspect.getmembers(thing, inspect.isfunction):
            assert inspect.signature(value) is not None, member


def test_a_constructor_tells_its_parameters() -> None:
    names = list(inspect.signature(MemoryPool).parameters)
    assert names[:2] == ["total_size", "max_block_size"]


@pytest.mark.parametrize("name", PUBLIC)
def test_members_of_public_names(name: str) -> None:
    thing = PUBLIC[name]
    found = {member for member, _ in inspect.getmembers(thing)}
    assert found >= {member for member in dir(thing) if member != "__abstractmethods__"}


def test_members_of_instances(instance: Any) -> None:
    """All that dir() lists is there, or says that the pool is closed."""
    refusing = set()
    for name in dir(instance):
        try:
            getattr(instance, name)
        except PoolClosedError:
            refusing.add(name)
    if isinstance(instance, MemoryPool) and instance.closed:
        assert refusing == {
            *("total_size", "block_size", "handle", "stats", "_as_parameter_"),
            *("start_address", "header"),
        }
    else:
        assert refusing == set()
        assert len(inspect.getmembers(instance)) == len(dir(instance))


# ------------------------------------------------------------------ names that are tried

PROBES = [
    *(
        "__x__",
        "__get__",
        "__set__",
        "__wrapped__",
        "__objclass__",
        "__isabstractmethod__",
    ),
    *("__signature__", "__text_signature__", "__code__", "__slots__", "__fspath__"),
    *("__deepcopy__", "__getstate__", "__getnewargs_ex__", "__setstate__", "__bytes__"),
    *("__array__", "__array_interface__", "__array_struct__", "__dlpack__", "__index__"),
    *("_repr_svg_", "_repr_png_", "_repr_json_", "_repr_latex_", "_repr_markdown_"),
    *(
        "_repr_mimebundle_",
        "_ipython_display_",
        "_repr_pretty_",
        "_ipython_key_completions_",
    ),
    *("_ipython_canary_method_should_not_exist_", "_partialmethod", "_mock_methods"),
    *("_is_coroutine_marker", "func", "x"),
]


def test_names_that_are_tried(instance: Any) -> None:
    """Each is there if its class has it, and else not; nothing but that."""
    for name in PROBES:
        there = any(name in vars(base) for base in type(instance).__mro__)
        assert hasattr(instance, name) == there, name


def test_notebooks_show_open_and_closed_pools(pool: MemoryPool) -> None:
    assert "<svg" in pool._repr_html_()
    assert "closed" in closed(pool)._repr_html_()


def test_the_stand_in_refuses_all_that_an_owner_has(pool: MemoryPool) -> None:
    names = [name for name in dir(pool._owner) if not name.startswith("__")]
    assert {"address", "ask", "range", "total_size", "block_size"} <= set(names)
    for name in names:
        with pytest.raises(PoolClosedError):
            getattr(CLOSED, name)
    assert isinstance(pool._owner, Owner)


# ------------------------------------------------------------------- mocks, copies


@pytest.mark.parametrize(
    "name", [name for name, thing in PUBLIC.items() if inspect.isclass(thing)]
)
def test_a_mock_of_each_class(name: str) -> None:
    thing = PUBLIC[name]
    made = mock.create_autospec(thing)
    assert isinstance(mock.create_autospec(thing, instance=True), thing)
    with pytest.raises(AttributeError):
        _ = made.no_such_name


def test_a_mock_knows_the_methods_of_a_pool() -> None:
    made = mock.create_autospec(MemoryPool)
    pool = made(4096, memory_limit=5)
    pool.read.return_value = b"abc"
    assert pool.read(0, 3) == b"abc"
    with pytest.raises(TypeError):
        pool.read(0)
    with pytest.raises(TypeError):
        made()
    with pytest.raises(AttributeError):
        _ = pool.no_such_method


def test_a_mock_of_an_instance(instance: Any) -> None:
    if isinstance(instance, MemoryPool) and instance.closed:
        # A mock copies what the attributes are; a memoryview that was released raises
        # there too.
        with pytest.raises(PoolClosedError):
            mock.create_autospec(instance)
        return
    mock.create_autospec(instance)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_copying_a_closed_pool_says_so(copied: Callable[[Any], Any]) -> None:
    for pool in (MemoryPool(10), Mine(10)):
        with pytest.raises(PoolClosedError):
            copied(closed(pool))


@pytest.mark.skipif(find_spec("distributed") is None, reason="distributed is not here")
def test_a_sharded_pool() -> None:
    from distributed_clusters import cluster

    from pymempool.distributed import ShardedPool

    with cluster(processes=False) as client:
        pool = ShardedPool(client, 1000)
        for _ in range(2):
            assert "class ShardedPool" in pydoc.plain(pydoc.render_doc(pool))
            for name in PROBES:
                assert not hasattr(pool, name) or hasattr(type(pool), name)
            pool.close()
