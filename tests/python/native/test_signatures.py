# SPDX-License-Identifier: MIT
"""The table of signatures against memory_pool.h: by its text, and by a C compiler."""

from __future__ import annotations

import ast
import ctypes
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from internals import (
    SIGNATURES,
    Signature,
    errors_module,
    library_module,
    signatures_module,
)

import pymempool


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


def one_spacing(text: str) -> str:
    return re.sub(r"\s*([(),*])\s*", r"\1", " ".join(text.split()))


def prototype(name: str, signature: Signature) -> str:
    """A row of the table as C."""
    parameters = ", ".join(
        argument.spelling.format(parameter)
        if "{}" in argument.spelling
        else f"{argument.spelling} {parameter}"
        for parameter, argument in signature.parameters.items()
    )
    return f"{signature.result.spelling} {name}({parameters or 'void'});"


def header_prototypes(header: Path) -> dict[str, str]:
    text = without_comments(header.read_text(encoding="utf-8"))
    found = re.findall(r"^POOL_API\s+([^;]*?(\w+)\s*\([^;]*\);)", text, re.MULTILINE)
    return {name: one_spacing(whole) for whole, name in found}


# ------------------------------------------------------------------- by the text


def test_same_functions_in_the_same_order(header: Path) -> None:
    assert list(SIGNATURES) == list(header_prototypes(header))


def test_no_function_escapes_the_search(header: Path) -> None:
    text = without_comments(header.read_text(encoding="utf-8"))
    uses = len(re.findall(r"\bPOOL_API\b", text))
    definitions = len(re.findall(r"define POOL_API\b", text))
    assert len(header_prototypes(header)) == uses - definitions > 10


@pytest.mark.parametrize("name", SIGNATURES)
def test_row_reads_like_the_header(name: str, header: Path) -> None:
    row = one_spacing(prototype(name, SIGNATURES[name]))
    assert row == header_prototypes(header)[name]


def test_statuses_and_their_texts(header: Path) -> None:
    text = header.read_text(encoding="utf-8")
    rows = re.findall(r'\bX\((\w+), (\d+), "([^"]*)"\)', text)
    assert {name: int(number) for name, number, _ in rows} == {
        status.name: status.value for status in errors_module.Status
    }
    for _, number, told in rows:
        assert library_module.quick.pool_status_text(int(number)).decode() == told


def test_words_for_page_tracking(header: Path) -> None:
    text = without_comments(header.read_text(encoding="utf-8"))
    rows = re.findall(r"POOL_TRACKING_(\w+) = (\d+),", text)
    names = [(word.upper(), str(i)) for i, word in enumerate(signatures_module.TRACKING)]
    assert rows == names


def test_words_for_what_is_reported(header: Path) -> None:
    text = without_comments(header.read_text(encoding="utf-8"))
    rows = re.findall(r"POOL_REPORT_(\w+) = (\d),", text)
    words = signatures_module.REPORT_KINDS
    assert rows == [(word.upper(), str(i)) for i, word in enumerate(words)]


def test_every_function_with_a_pool_is_tried_with_a_dead_one(header: Path) -> None:
    tests = header.parents[1] / "tests" / "c" / "test_report.c"
    tried = re.findall(r"^CALL\((\w+),", tests.read_text(encoding="utf-8"), re.MULTILINE)
    pools = [
        name
        for name, row in SIGNATURES.items()
        if signatures_module.POOL in row.parameters.values()
    ]
    assert sorted(f"pool_{name}" for name in tried) == sorted(pools)


def test_every_status_raises_a_class_of_its_own() -> None:
    kinds = []
    for status in errors_module.Status:
        with pytest.raises(errors_module.PoolError, match="why") as caught:
            errors_module.raise_status(status, "why")
        kinds.append(caught.type)
    assert (
        kinds[0] is errors_module.PoolError
    )  # POOL_OK is no reason to raise; if so, plainly
    assert kinds[1] is errors_module.PoolError  # POOL_INVALID
    assert len(set(kinds[1:])) == len(kinds) - 1


def test_version(header: Path) -> None:
    text = header.read_text(encoding="utf-8")
    parts = re.findall(r"^#define POOL_VERSION_\w+ (\d+)$", text, re.MULTILINE)
    assert pymempool.__version__ == ".".join(parts)
    assert tuple(map(int, parts[:2])) == signatures_module.HEADER_VERSION


def test_public_stats_are_those_of_c() -> None:
    fields = [name for name, _ in signatures_module.StatsStruct._fields_]
    assert fields == ["struct_size", *pymempool.PoolStats._fields]


def test_a_public_name_is_one_thing() -> None:
    """No other module of the package has a class or function of its own so called."""
    homes: dict[str, set[str]] = {name: set() for name in pymempool.__all__}
    for path in Path(pymempool.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name in homes:
                homes[node.name].add(path.name)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}
    assert homes["PoolStats"] == {"stats.py"}


# --------------------------------------------------------------- by the compiler


def compiler() -> list[str]:
    known = [os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang"]
    for command in filter(None, known):
        words = shlex.split(command)
        if shutil.which(words[0]):
            return words
    pytest.skip("no C compiler here (CC, cc, gcc, clang)")


def compile_behind_header(text: str, header: Path) -> subprocess.CompletedProcess[str]:
    source = f'#include "memory_pool.h"\n{text}\n'
    flags = ["-std=c11", "-Werror", "-fsyntax-only", f"-I{header.parent}", "-xc", "-"]
    return subprocess.run(
        [*compiler(), *flags], input=source, capture_output=True, text=True
    )


def test_compiler_finds_no_conflict(header: Path) -> None:
    # C has "from" where Python has a keyword; the names do not matter here.
    rows = "\n".join(prototype(name, row) for name, row in SIGNATURES.items())
    done = compile_behind_header(rows, header)
    assert done.returncode == 0, done.stderr


def test_compiler_would_find_a_conflict(header: Path) -> None:
    row = SIGNATURES["pool_read"]
    wrong = prototype("pool_read", row._replace(result=signatures_module.STATUS))
    done = compile_behind_header(wrong, header)
    assert done.returncode != 0
    assert "conflicting types" in done.stderr


STRUCTS = {
    "PoolOptions": signatures_module.PoolOptions,
    "PoolView": signatures_module.PoolView,
    "PoolStats": signatures_module.StatsStruct,
    "PoolReport": signatures_module.PoolReport,
}


@pytest.mark.parametrize("name", STRUCTS)
def test_compiler_lays_structs_out_alike(name: str, header: Path) -> None:
    struct = STRUCTS[name]
    facts = [f"sizeof({name}) == {ctypes.sizeof(struct)}"]
    for field, _ in struct._fields_:
        place = getattr(struct, field)
        facts.append(f"offsetof({name}, {field}) == {place.offset}")
        facts.append(f"sizeof((({name} *)0)->{field}) == {place.size}")
    text = "\n".join(f'_Static_assert({fact}, "{fact}");' for fact in facts)
    done = compile_behind_header(text, header)
    assert done.returncode == 0, done.stderr


def test_compiler_agrees_on_plain_types(header: Path) -> None:
    facts = {
        "sizeof(size_t)": ctypes.sizeof(ctypes.c_size_t),
        "sizeof(void *)": ctypes.sizeof(ctypes.c_void_p),
        "sizeof(PoolStatus)": ctypes.sizeof(ctypes.c_int),
        "(size_t)-1": f"{signatures_module.SIZE_MAX}u",
    }
    text = "\n".join(f'_Static_assert({a} == {b}, "{a}");' for a, b in facts.items())
    done = compile_behind_header(text, header)
    assert done.returncode == 0, done.stderr


def table_types() -> dict[str, Any]:
    """Each C spelling of a type in the table, with the ctypes type beside it."""
    pairs = {row.result.spelling: row.result.ctype for row in SIGNATURES.values()}
    for row in SIGNATURES.values():
        pairs.update((each.spelling, each.ctype) for each in row.parameters.values())
    del pairs["void"]
    return pairs


def type_facts(spelling: str, ctype: Any) -> list[str]:
    """What C must say of a type if ctypes is to pass it rightly."""
    if hasattr(ctype, "_argtypes_"):
        c_names = {
            None: "void",
            ctypes.c_void_p: "void *",
            ctypes.c_size_t: "size_t",
            ctypes.c_int: "int",
            signatures_module.PoolAddress: "MemoryPool *",
            ctypes.POINTER(signatures_module.PoolReport): "const PoolReport *",
        }
        arguments = ", ".join(c_names[argument] for argument in ctype._argtypes_)
        whole = f"{c_names[ctype._restype_]} (*)({arguments})"
        return [f"_Generic(({spelling.format('')})0, {whole}: 1, default: 0)"]
    if spelling.endswith("]"):  # an array, of which a parameter is the address
        return [f"sizeof({spelling.format('')}) == {ctypes.sizeof(ctype._type_)}"]
    facts = [f"sizeof({spelling}) == {ctypes.sizeof(ctype)}"]
    if issubclass(ctype, ctypes._Pointer):
        facts.append(f"sizeof(*({spelling})0) == {ctypes.sizeof(ctype._type_)}")
    elif ctype not in (ctypes.c_void_p, ctypes.c_char_p) and spelling != "PoolStatus":
        # (A compiler may give an enumeration without negative values a sign or none.)
        facts.append(f"(({spelling})-1 < 0) == {int(ctype(-1).value < 0)}")
    return facts


@pytest.mark.parametrize("spelling", table_types())
def test_compiler_agrees_on_types_of_the_table(spelling: str, header: Path) -> None:
    facts = type_facts(spelling, table_types()[spelling])
    text = "\n".join(f'_Static_assert({fact}, "{fact}");' for fact in facts)
    done = compile_behind_header(text, header)
    assert done.returncode == 0, done.stderr


# One of each kind: an integer too small, one with a sign, a pointer to something smaller,
# an array too short, and a function without its last argument.
@pytest.mark.parametrize(
    ("spelling", "ctype"),
    [
        ("uint64_t", ctypes.c_uint32),
        ("uint64_t", ctypes.c_int64),
        ("uint64_t *", ctypes.POINTER(ctypes.c_uint32)),
        ("unsigned char {}[32]", ctypes.POINTER(ctypes.c_ubyte * 31)),
        (
            signatures_module.RELEASE.spelling,
            ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t),
        ),
    ],
)
def test_compiler_would_find_a_wrong_type(
    spelling: str, ctype: Any, header: Path
) -> None:
    facts = " && ".join(type_facts(spelling, ctype))
    done = compile_behind_header(f'_Static_assert({facts}, "wrong type");', header)
    assert done.returncode != 0
    assert "wrong type" in done.stderr


# ------------------------------------------------------------------- the loading


def test_missing_function_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    row = SIGNATURES["pool_trim"]
    monkeypatch.setitem(library_module.SIGNATURES, "pool_not_there", row)
    with pytest.raises(ImportError, match="pool_not_there") as caught:
        library_module._load(ctypes.CDLL, library_module.path)
    assert caught.value.path == library_module.path
    assert library_module.path in str(caught.value)


def test_other_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "HEADER_VERSION", (99, 7))
    with pytest.raises(ImportError, match=r"needs 99\.7\.x"):
        library_module._check_version(library_module.path)


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYMEMPOOL_DEBUG", raising=False)
    monkeypatch.setattr(library_module, "_FILE_NAME", "not-there.so")
    with pytest.raises(ImportError, match=r"not-there\.so"):
        library_module._find()


def test_file_that_is_no_library_is_named(tmp_path: Path) -> None:
    path = tmp_path / "not-a-library.so"
    path.write_text("nothing to load")
    with pytest.raises(ImportError, match="not-a-library"):
        library_module._load(ctypes.CDLL, str(path))


def test_a_result_that_is_owned_raises_by_itself() -> None:
    """Also where the package does not call it: nobody gets a NULL."""
    with pytest.raises(errors_module.PoolError, match="pool_create"):
        library_module.parallel.pool_create(0, 1)
