"""What Dioptra 0.x said of the SDK, a row for each sentence; where ours differs on purpose, the row says so."""

from __future__ import annotations

import builtins
import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dioptra.errors import PrefectDependencyError
from dioptra.sdk.utilities import contexts, decorators, paths
from dioptra.sdk.utilities import logging as sdk_logging


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A path, a root logger and folders that nothing else uses."""
    for name in ("a", "b", "on_path"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["/script", str(tmp_path / "on_path"), "/lib", *sys.path])
    monkeypatch.setenv("DIOPTRA_PLUGIN_DIR", f"{tmp_path}/a:b:{tmp_path}/missing:{tmp_path}/on_path")
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def path_within(context: AbstractContextManager[None]) -> list[str]:
    with context:
        return first_folders()


def path_after(context: AbstractContextManager[None]) -> list[str]:
    path_within(context)
    return first_folders()


def first_folders() -> list[str]:
    return [folder.replace(str(Path.cwd()), "CWD") for folder in sys.path[: sys.path.index("/lib")]]


def printed_to(target: io.StringIO | None) -> object:
    with contexts.redirect_print(target):
        print("a", 1, sep="-")
    return target and target.getvalue()


def raised(name: str, **options: type[Exception] | str) -> str:
    @decorators.require_package(name, **options)  # type: ignore[arg-type]
    def function() -> str:
        return "called"

    try:
        return function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def logged(as_json: bool, log: Callable[[], object]) -> str:
    root, stream = logging.getLogger(), io.StringIO()
    sdk_logging.clear_logger_handlers()
    before, sys.stdout = sys.stdout, stream
    try:
        sdk_logging.attach_stdout_stream_handler(as_json)
    finally:
        sys.stdout = before
    root.setLevel("INFO")
    log()
    return stream.getvalue()


def fields(log: Callable[[], object]) -> dict[str, str]:
    found: dict[str, str] = json.loads(logged(True, log))
    return found


def event(stream: type[sdk_logging.StdoutLogStream | sdk_logging.StderrLogStream], text: str, as_json: bool) -> object:
    def write() -> None:
        with stream(as_json) as target:
            target.write(text)

    records = [json.loads(line) for line in logged(True, write).splitlines()]
    return [(record["logger"], record["level"], record["event"]) for record in records]


def level_after(level: str) -> object:
    logger = logging.getLogger("tests.sentences")
    try:
        sdk_logging.set_logging_level(level, logger)
    except Exception as error:
        return type(error).__name__
    return logging.getLevelName(logger.level)


def handlers_after(count: int, name: str | None) -> int:
    logger = logging.getLogger(name)
    for _ in range(count):
        logger.addHandler(logging.NullHandler())
    sdk_logging.clear_logger_handlers(logger if name else None)
    return len(logger.handlers)


def cleared() -> list[str]:
    Path("a/deep/er").mkdir(parents=True)
    Path("a/file").touch()
    paths.clear_directory("a")
    return [path.name for path in Path("a").parent.glob("a/**/*")]


def cwd_within() -> str:
    with paths.set_cwd("a"):
        return Path.cwd().name


def warned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("careful", stacklevel=1)


OUT, ERR = sdk_logging.StdoutLogStream, sdk_logging.StderrLogStream
SENTENCES: list[tuple[str, Callable[[], object], object]] = [
    # 2.1 contexts
    ("plugin_dirs: [0], the setting's absolute folders that exist and are new, then dirs, then the rest",
     lambda: path_within(contexts.plugin_dirs(["b", "missing"])), ["/script", "CWD/a", "CWD/b", "CWD/on_path"]),
    ("plugin_dirs: the current folder by default, resolved",
     lambda: path_within(contexts.plugin_dirs())[2], "CWD"),
    ("plugin_dirs: the old list is restored", lambda: path_after(contexts.plugin_dirs()),
     ["/script", "CWD/on_path"]),
    ("redirect_print: arguments joined, to the target", lambda: printed_to(io.StringIO()), "a-1\n"),
    ("redirect_print: dropped without a target", lambda: printed_to(None), None),
    ("redirect_print: restored", lambda: (printed_to(None), builtins.print is print)[1], True),
    ("sys_path_dirs: the same without the setting", lambda: path_within(contexts.sys_path_dirs(["b"])),
     ["/script", "CWD/b", "CWD/on_path"]),
    # 2.2 decorators
    ("require_package: nothing when it is there", lambda: raised("json"), "called"),
    ("require_package: at the call, what is required for what", lambda: raised("no_such"),
     'BaseOptionalDependencyError: The package "no_such" is required to use function'),
    ("require_package: another message", lambda: raised("no_such", exc_message="get it"),
     "BaseOptionalDependencyError: get it"),
    ("require_package: another type", lambda: raised("no_such", exc_type=PrefectDependencyError).partition(":")[0],
     "PrefectDependencyError"),
    # 2.3 logging
    ("attach: JSON with logger, level, UTC time", lambda: sorted(fields(lambda: logging.getLogger("x").info("told"))),
     ["event", "level", "logger", "timestamp"]),
    ("attach: the time is UTC", lambda: fields(lambda: logging.getLogger("x").info("told"))["timestamp"][-1], "Z"),
    ("attach: text", lambda: "told" in logged(False, lambda: logging.getLogger("x").info("told")), True),
    ("attach: warnings are captured", lambda: fields(warned)["logger"], "py.warnings"),
    ("attach: stack information", lambda: "stack" in fields(lambda: logging.getLogger("x").info("t", stack_info=True)),
     True),
    ("clear: all handlers (0.x left every second one)", lambda: handlers_after(5, "tests.sentences"), 0),
    ("clear: None is the root", lambda: handlers_after(5, None), 0),
    ("level: any case", lambda: [level_after(name) for name in ("debug", "Info", "WARNING", "error")],
     ["DEBUG", "INFO", "WARNING", "ERROR"]),
    ("level: others (0.x took INFO for them, and for CRITICAL)",
     lambda: [level_after(name) for name in ("critical", "LOUD")], ["CRITICAL", "UsageError"]),
    ("stream: STDOUT at INFO", lambda: event(OUT, "x\n", False), [("STDOUT", "info", "x")]),
    ("stream: STDERR at INFO", lambda: event(ERR, "x\n", False), [("STDERR", "info", "x")]),
    ("stream: blank text is ignored", lambda: event(OUT, " \n\t\n", False), []),
    ("stream: lines right-stripped, joined with ||", lambda: event(OUT, "a  \nb \n", False),
     [("STDOUT", "info", "a||b")]),
    ("stream: lines stay lines in JSON", lambda: event(OUT, "a  \nb \n", True), [("STDOUT", "info", "a\nb")]),
    ("stream: an abstract base",
     lambda: {"write", "close", "flush"} <= sdk_logging.LogStream.__abstractmethods__, True),
    # 2.4 paths
    ("set_path_ext: all suffixes go", lambda: paths.set_path_ext("a/x.tar.gz", "csv"), Path("a/x.csv")),
    ("set_path_ext: the dot is optional", lambda: paths.set_path_ext("a/x.tar.gz", ".csv"), Path("a/x.csv")),
    ("clear_directory", cleared, []),
    ("set_cwd: inside", cwd_within, "a"),
]  # fmt: skip


@pytest.mark.parametrize(("actual", "expected"), [row[1:] for row in SENTENCES], ids=[row[0] for row in SENTENCES])
def test_each_sentence(actual: Callable[[], object], expected: object) -> None:
    assert actual() == expected
