"""Runs the code blocks of a page as a reader would: files are written, commands typed, output compared."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conftest import clean_environment

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"`([\w/-]+\.\w+|[\w/-]*MLproject)`(?:[^`\n]*):\n\n\Z")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str
    file: str  # the file that the sentence before it names, if it ends in a colon


def blocks(page: Path) -> Iterator[Block]:
    """Return the blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        named = _FILE_NAME.search(text[: match.start()])
        yield Block(match[1], match[2], named[1] if named and match[1] in ("python", "yaml", "toml") else "")


class Reader:
    """Follows a page from an empty folder; `cd` holds for the next block, and what runs in the background goes on.

    `python` is the interpreter of the environment that the page is about.
    """

    def __init__(self, folder: Path, python: Path = Path(sys.executable)) -> None:
        self._folder = folder
        self._python = python
        self._output = ""
        self._left_running: list[int] = []

    def follow(self, page: Path) -> None:
        """Do what each block says.

        Raises:
            AssertionError: A command failed, or printed something else than the page says.
        """
        try:
            for block in blocks(page):
                self._do(block)
        finally:
            for group in self._left_running:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)

    def _do(self, block: Block) -> None:
        if block.file:
            file = self._folder / block.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            self._type(block.text)
        elif block.language == "python":
            self._run([str(self._python), "-c", block.text])
        elif block.language == "text":
            assert matches(block.text, self._output), f"the page says\n{block.text}\nbut it is\n{self._output}"

    def _type(self, text: str) -> None:
        lines = [line for line in text.splitlines() if not line.startswith(("make ", "git clone ", "pip install "))]
        place = self._run(["bash", "-euo", "pipefail", "-c", "\n".join([*lines, 'pwd > "$READER_PLACE"'])])
        self._folder = Path(place.rstrip("\n"))

    def _run(self, argv: list[str]) -> str:
        """Run a command, and return what it wrote about where it ended; pipes would wait for what it left running."""
        with TemporaryDirectory() as aside:
            place, output = Path(aside, "place"), Path(aside, "output")
            place.touch()
            environment = clean_environment(HOME=str(self._folder), READER_PLACE=str(place))
            environment["PATH"] = os.pathsep.join([str(self._python.parent), environment["PATH"]])
            with output.open("wb") as file:
                running = subprocess.Popen(
                    argv,
                    cwd=self._folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                code = running.wait()
            with suppress(ProcessLookupError):
                os.killpg(running.pid, 0)
                self._left_running.append(running.pid)
            self._output = output.read_text(encoding="utf-8")
            assert code == 0, f"{argv} failed:\n{self._output}"
            return place.read_text(encoding="utf-8")


def matches(expected: str, output: str) -> bool:
    """Tell whether an output is what a page says, where … stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in expected.strip().split("…"))
    return re.search(pattern, output, re.DOTALL) is not None
