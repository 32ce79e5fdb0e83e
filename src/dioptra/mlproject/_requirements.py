"""Reads requirement lines: each is checked, and files that are named in them are replaced by what they hold.

The format is pip's: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from dioptra.errors import InvalidProjectError
from dioptra.mlproject._model import Requirements
from dioptra.mlproject._parameters import CREDENTIAL
from dioptra.mlproject._yaml import text_of_file

__all__ = ["RequirementReader", "file_within"]

_MAX_FILES = 50
_COMMENT = re.compile(r"(^|\s)#.*$")
_FILE = re.compile(r"(?P<kind>-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(?P<name>.+)")
_HASHES = re.compile(r"(\s+--hash[=\s]\S+)+$")
_PASSED_ON = re.compile(
    r"(-i|--index-url|--extra-index-url|-f|--find-links|--no-index|--no-binary|--only-binary)(?=[=\s]|$)"
)
_EDITABLE = re.compile(r"(-e|--editable)[=\s]\s*")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_VARIABLES = re.compile(r"(\$\{[A-Z0-9_]+\}:?)*")  # which the installer fills in, so that no record has the value


def file_within(project: Path, folder: Path, name: str, place: str, what: str) -> Path:
    """Return a file that is named relative to a folder, which must be a plain one inside the project.

    Raises:
        InvalidProjectError: It is not.
    """
    file = folder / name
    try:
        inside = file.resolve().is_relative_to(project.resolve())
        if not inside:
            raise InvalidProjectError(f"{what} lies outside of the project", where=place, hint="put it into its folder")
        if not file.is_file():
            problem = "is not a plain file" if file.exists() else "is not there"
            raise InvalidProjectError(f"{what} {problem}", where=place, hint="name a file of the project")
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidProjectError(f"{what} cannot be read ({error})", where=place) from error
    return file


class RequirementReader:
    """Collects the lines of an environment.

    Args:
        project: The folder that all files must lie in.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self._lines: dict[str, None] = {}
        self._constraints: dict[str, None] = {}
        self._files = 0

    def found(self) -> Requirements:
        """Return what was added."""
        return Requirements(tuple(self._lines), tuple(self._constraints))

    def add(self, text: str, file: Path, place: str, *, limits: bool = False, within: tuple[Path, ...] = ()) -> None:
        """Add a line, or what the files hold that it names.

        Args:
            text: The line.
            file: The file that it stands in.
            place: Where, for messages.
            limits: It limits versions, and installs nothing.
            within: The files that name this one.

        Raises:
            InvalidProjectError: It is not in order.
        """
        line = " ".join(_COMMENT.sub("", text).split())
        if not line:
            return
        _check_credentials(line, place)
        if named := _FILE.fullmatch(line):
            only_limits = limits or named["kind"] in ("-c", "--constraint")
            self._add_file(named["name"].strip("\"'"), file, place, only_limits, (*within, file))
            return
        _check(line, place)
        (self._constraints if limits else self._lines)[line] = None

    def _add_file(self, name: str, file: Path, place: str, limits: bool, within: tuple[Path, ...]) -> None:
        found = file_within(self._project, file.parent, name, place, f"the file {name!r}")
        if any(found.samefile(each) for each in within):
            raise InvalidProjectError(f"the file {name!r} names itself", where=place, hint="take that line away")
        self._files += 1
        if self._files > _MAX_FILES:
            raise InvalidProjectError(f"more than {_MAX_FILES} files are named", where=place, hint="put them together")
        for number, text in _logical_lines(text_of_file(found)):
            self.add(text, found, f"{found} line {number}", limits=limits, within=within)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give each line with its number; one that ends in a backslash goes on in the next."""
    begun, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        start = start if begun else number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            begun += line[:-1] + " "
        else:
            yield start, begun + line
            begun = ""
    if begun:
        yield start, begun


def _check(line: str, place: str) -> None:
    from packaging.requirements import InvalidRequirement, Requirement

    if _PASSED_ON.match(line):
        return
    text = _EDITABLE.sub("", _HASHES.sub("", line))
    if _URL.match(text) or text.startswith("/"):
        return
    is_path = text.startswith(".") or text.endswith((".whl", ".zip", ".gz")) or _EDITABLE.match(line)
    if is_path and " @ " not in text:
        raise InvalidProjectError(
            f"{line!r} lies in the project, which is another folder for each job",
            where=place,
            hint="import it from there, or give an absolute path or an address",
        )
    try:
        Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise InvalidProjectError(
            f"{line!r} is no requirement ({reason})", where=place, hint="write one such as numpy>=2.0"
        ) from error


def _check_credentials(line: str, place: str) -> None:
    """Refuse credentials in an address, which records would keep."""
    for url in _URL.findall(line):
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        is_secret = ":" in user or parts.scheme.removeprefix("git+") in ("http", "https")
        in_query = any(CREDENTIAL.search(name) for name, _ in parse_qsl(parts.query))
        if in_query or (user and is_secret and not _VARIABLES.fullmatch(user)):
            shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            raise InvalidProjectError(
                f"the address {shown} is given with credentials, which records would keep",
                where=place,
                hint="write ${NAME} for them, or set UV_INDEX_URL where jobs are run",
            )
