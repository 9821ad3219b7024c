# SPDX-License-Identifier: MIT
"""The code in README.md and in docs/: found, run, and compared with what it says.

    page ─► fenced blocks ─► chains, each run in a folder of its own ─► output compared

- Blocks of `python`, `c` and `sh` are run. What one prints stands in the block of `text`
  right behind it; without one it prints nothing.
- Python that begins with an import starts a chain, as C that begins with an #include
  does; whatever else follows goes on where the block before it ended.
- Python with tests in it is run by pytest. C without a main is the head of a program; the
  blocks of C that follow are what stands in its main.
- Tests that are to fail have `<!-- fails: why -->` before them, and behind them lines of
  what pytest prints, in which `...` stands for anything.
- A comment before a block says more: `<!-- file: app.c -->`, the block is also a file,
  for commands; `<!-- library: why -->`, it is one for a command and no program;
  `<!-- goes on: why -->`, it starts no chain, for all its imports;
  `<!-- needs: numpy cmake -->`, modules and programs without which the chain is skipped
  (what Python imports need not be named); `<!-- not run: why -->`.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from internals import paths_module

ROOT = Path(__file__).resolve().parents[3]
COMPILER = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")

RUN = {"python", "c", "sh"}
#: What a page may use and who runs the tests may not have.
OPTIONAL = {"bincopy", "fsspec", "h5py", "matplotlib", "numpy", "rich", "unicorn"}

_SECONDS = 300  # after which a block is stuck
_END = "\x1e"  # printed behind the output of each block


@dataclass
class Block:
    """A fenced block of code."""

    page: str  #: path from ROOT
    line: int  #: of its first line of code
    language: str
    source: str
    notes: dict[str, str] = field(default_factory=dict)  #: the comments before it
    output: str = ""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def starts(self) -> bool:
        if "goes on" in self.notes:
            return False
        if self.language == "python":
            return re.match(r"(import|from) ", self.source) is not None
        return self.language == "c" and self.source.startswith("#include")


def pages() -> list[Path]:
    """All pages with code that is run."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


_FENCE = re.compile(
    r"^(?P<notes>(?:<!--[^>]*-->\n)*)"
    r"^(?P<ticks>```+)(?P<language>[^\n]*)\n(?P<source>.*?)^(?P=ticks)[ ]*$",
    re.DOTALL | re.MULTILINE,
)
_NOTE = re.compile(r"<!-- ([a-z ]+): (.*?) -->", re.DOTALL)


def blocks(page: Path) -> list[Block]:
    """The blocks of a page; an output belongs to the block that it follows."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix()
    found: list[Block] = []
    end = -1  # of the last block
    for match in _FENCE.finditer(text):
        language, source = match["language"].strip(), match["source"]
        language = "python" if language == "py" else language
        follows = text[end : match.start()].strip() == "" and end > 0
        if language == "text" and follows and found[-1].language in RUN:
            found[-1].output = source
        else:
            line = text.count("\n", 0, match.start("source")) + 1
            notes = dict(_NOTE.findall(match["notes"]))
            found.append(Block(name, line, language, source, notes))
        end = match.end()
    return found


def chains(page: Path) -> Iterator[list[Block]]:
    """The blocks that are run, those together that go on from one another."""
    chain: list[Block] = []
    for block in blocks(page):
        if block.language not in RUN or {"not run", "command"} & set(block.notes):
            continue
        if block.starts() and chain:
            yield chain
            chain = []
        chain.append(block)
    if chain:
        yield chain


def missing(chain: list[Block]) -> str:
    """Why a chain cannot be run here; empty if it can."""
    for block in chain:
        needs = set(block.notes.get("needs", "").split())
        if block.language == "python":
            needs |= _imports(block.source) & OPTIONAL
        elif os.name == "nt":
            return "compilers and shells are for POSIX systems"
        elif block.language == "c" and COMPILER is None:
            return "no C compiler"
        for need in sorted(needs):
            if not _is_here(need):
                return f"{need} is not here"
    return ""


def _is_here(need: str) -> bool:
    """Whether there is a module, a program or, as NAME.pc, a library of that name."""
    if need.endswith(".pc"):
        tool = shutil.which("pkg-config")
        return tool is not None and subprocess.call([tool, "--exists", need[:-3]]) == 0
    return find_spec(need) is not None or shutil.which(need) is not None


def _imports(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    names = [
        alias.name for node in nodes if type(node) is ast.Import for alias in node.names
    ]
    names += [node.module or "" for node in nodes if type(node) is ast.ImportFrom]
    return {name.partition(".")[0] for name in names}


# ---------------------------------------------------------------------------- running


def run(chain: list[Block], folder: Path) -> None:
    """Runs the blocks in the folder, and compares what each prints."""
    if any(block.language == "sh" for block in chain):
        for name in ("c", "benchmarks", "examples"):
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy(ROOT / "CMakeLists.txt", folder)
    with _Session(folder) as session:
        outputs: Iterator[str] = iter(())
        for number, block in enumerate(chain):
            if "file" in block.notes:
                (folder / block.notes["file"]).write_text(block.source, encoding="utf-8")
            if block.language == "sh":
                printed = _shell(block, folder)
            elif block.language == "c" and "library" in block.notes:
                printed = ""  # a command behind it compiles it
            elif block.language == "c":
                if block.starts():
                    outputs = _program(chain[number:], folder)
                printed = next(outputs)
            elif "def test_" in block.source:
                printed = _tests(block, folder)
            else:
                printed = session.run(block)
            assert printed == block.output, (
                f"{block.place} printed\n{printed}and not, as it says,\n{block.output}"
            )


def _done(command: list[str], place: str, folder: Path, status: int = 0) -> str:
    """The output of a command that must end with a status."""
    environment = {**os.environ, "HOME": str(folder), "COLUMNS": "80"}
    environment["PATH"] = os.pathsep.join(
        [os.path.dirname(sys.executable), os.environ["PATH"]]
    )
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=_SECONDS,
    )
    assert done.returncode == status, (
        f"{place} ended with {done.returncode}:\n{done.stdout}"
    )
    return done.stdout


def _shell(block: Block, folder: Path) -> str:
    printed = _done(["sh", "-euc", block.source], block.place, folder)
    return printed if block.output else ""  # a build says much that nobody reads


def _tests(block: Block, folder: Path) -> str:
    path = folder / "test_page.py"
    path.write_text(block.source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
    fails = "fails" in block.notes
    printed = iter(_done(command, block.place, folder, status=int(fails)).splitlines())
    for wanted in block.output.splitlines() if fails else ():
        pattern = re.escape(wanted).replace(r"\.\.\.", ".*")
        assert any(re.fullmatch(pattern, line) for line in printed), (
            f"{block.place} did not print, at its place,\n{wanted}"
        )
    return block.output if fails else ""


def _program(chain: list[Block], folder: Path) -> Iterator[str]:
    """What a program in C prints, block by block."""
    head, *others = chain
    body = []
    if not re.search(r"\bmain\(", head.source):
        for other in others:
            if other.starts():
                break
            if other.language == "c":
                body.append(other)
    text = f'#line {head.line} "{ROOT / head.page}"\n{head.source}'
    if body:
        text += "#include <stdio.h>\nint main(void)\n{\n"
        for each in body:
            text += f'puts("{_END}");\n#line {each.line} "{ROOT / each.page}"\n'
            text += each.source
        text += "}\n"
    printed = _compiled(text, head.place, folder)
    return iter(printed.split(f"{_END}\n"))


def _compiled(text: str, place: str, folder: Path) -> str:
    """What a program in C prints."""
    source, program = folder / "program.c", folder / "program"
    source.write_text(text, encoding="utf-8")
    strict = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"]
    flags = [*strict, *paths_module.compiler_flags(), "-o", str(program), str(source)]
    flags += [*paths_module.linker_flags(), "-lpthread"]
    assert _done([str(COMPILER), *flags], place, folder) == ""
    return _done([str(program)], place, folder)


class _Session:
    """An interpreter to which blocks are given one after the other."""

    _DRIVER = f"""
import json, sys
names = {{"__name__": "__main__"}}
for line in sys.stdin:
    page, number, source = json.loads(line)
    exec(compile("\\n" * (number - 1) + source, page, "exec"), names)
    print({_END!r}, flush=True)
"""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def run(self, block: Block) -> str:
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        message = [str(ROOT / block.page), block.line, block.source]
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        guard = threading.Timer(_SECONDS, process.kill)
        guard.start()
        printed = ""
        for line in process.stdout:
            printed += line
            if printed.endswith(f"{_END}\n"):
                break
        guard.cancel()
        assert printed.endswith(f"{_END}\n"), f"{block.place} failed:\n{printed}"
        return printed[: -len(_END) - 1]

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            [sys.executable, "-X", "utf8", "-W", "error", "-c", self._DRIVER],
            cwd=self._folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        return self._process

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._process is None:
            return
        with self._process as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            said = process.stdout.read()
        if kind is None:
            assert (said, process.returncode) == ("", 0)
