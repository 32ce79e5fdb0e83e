"""Logging for entry-point scripts: handlers, levels, and what is printed put into the log."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from dioptra.errors import UsageError
from dioptra.sdk.utilities.logging import (
    LogStream,
    StderrLogStream,
    StdoutLogStream,
    attach_stdout_stream_handler,
    clear_logger_handlers,
    configure_structlog,
    set_logging_level,
)


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(f"{record.name} {record.levelname} {record.getMessage()}")


@pytest.fixture
def kept() -> Iterator[Kept]:
    """A root logger that keeps everything, and nothing else."""
    root, handler = logging.getLogger(), Kept()
    before, level = root.handlers[:], root.level
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    yield handler
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def own_logger(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    logger = logging.getLogger(f"tests.{request.node.name}")
    logger.propagate = False
    yield logger
    logger.handlers.clear()
    logging.captureWarnings(False)


class TestHandlers:
    def test_all_are_removed(self, own_logger: logging.Logger) -> None:
        for _ in range(5):
            own_logger.addHandler(logging.NullHandler())
        clear_logger_handlers(own_logger)
        assert own_logger.handlers == []

    def test_of_the_root_by_default(self, kept: Kept) -> None:
        logging.getLogger().addHandler(logging.NullHandler())
        clear_logger_handlers(None)
        assert logging.getLogger().handlers == []

    def test_json(self, own_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
        attach_stdout_stream_handler(True, own_logger)
        try:
            raise ValueError("no")
        except ValueError:
            own_logger.exception("told %s", "ä")
        said = json.loads(capsys.readouterr().out)
        assert (said["event"], said["level"], said["logger"]) == ("told ä", "error", own_logger.name)
        assert said["timestamp"].endswith("Z")
        assert "ValueError: no" in said["exception"]

    def test_text(self, own_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
        attach_stdout_stream_handler(False, own_logger)
        own_logger.warning("told")
        said = capsys.readouterr().out
        assert "[warning  ] told" in said
        assert f"[{own_logger.name}]" in said
        assert "\x1b" not in said

    def test_attaching_again_replaces(self, own_logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
        other = logging.NullHandler()
        own_logger.addHandler(other)
        attach_stdout_stream_handler(False, own_logger)
        attach_stdout_stream_handler(True, own_logger)
        own_logger.warning("told")
        assert json.loads(capsys.readouterr().out)["event"] == "told"
        assert other in own_logger.handlers

    def test_attaching_inside_a_redirection_reaches_the_real_stream(
        self, own_logger: logging.Logger, capsys: pytest.CaptureFixture[str], kept: Kept
    ) -> None:
        with StdoutLogStream(), StdoutLogStream():
            attach_stdout_stream_handler(True, own_logger)
            own_logger.warning("told")
        assert json.loads(capsys.readouterr().out)["event"] == "told"
        assert kept.said == []


def test_a_configuration_of_structlog_that_is_there_stays() -> None:
    import structlog

    structlog.configure(processors=[])
    try:
        configure_structlog()
        assert structlog.get_config()["processors"] == []
    finally:
        structlog.reset_defaults()


class TestLevels:
    @pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"])
    def test_all_that_logging_has(self, level: str, own_logger: logging.Logger) -> None:
        for spelling in (level, level.lower(), f" {level.title()} "):
            own_logger.setLevel(logging.NOTSET)
            set_logging_level(spelling, own_logger)
            assert own_logger.level == getattr(logging, level)

    @pytest.mark.parametrize("level", ["", "LOUD", "all", 10, None])
    def test_others_are_refused_and_change_nothing(self, level: Any, own_logger: logging.Logger) -> None:
        own_logger.setLevel(logging.ERROR)
        with pytest.raises(
            UsageError, match="is not a logging level; use one of DEBUG, INFO, WARNING, ERROR, CRITICAL"
        ):
            set_logging_level(level, own_logger)
        assert own_logger.level == logging.ERROR

    def test_of_the_root_by_default(self, kept: Kept) -> None:
        set_logging_level("critical")
        assert logging.getLogger().level == logging.CRITICAL


class TestStreams:
    @pytest.mark.parametrize(
        ("writes", "records"),
        [
            (["hello", "\n"], ["hello"]),
            (["hello\n"], ["hello"]),
            (["a\nb", "\n"], ["a||b"]),
            (["a\nb\n", "c\n"], ["a||b", "c"]),
            (["pa", "rt", "ial\n"], ["partial"]),
            (["no end"], ["no end"]),
            (["   \n", "\n", "\t", "\n", ""], []),
            (["a  \nb\t\n"], ["a||b"]),
            (["\n\na\n\nb\n\n"], ["a||||b"]),
            (["a\r\n", "b\r\nc\r\n"], ["a", "b||c"]),
            (["\r10%", "\r20%", "\r30%", "\n"], ["30%"]),
            (["10%\r", "20%\r", "30%\r"], ["30%"]),
            (["100% %s {x}\n"], ["100% %s {x}"]),
            (["ä🦊\n"], ["ä🦊"]),
            (["x" * 100_000], ["x" * 100_000]),
        ],
    )
    def test_one_record_for_one_print(self, kept: Kept, writes: list[str], records: list[str]) -> None:
        with StdoutLogStream() as stream:
            for text in writes:
                assert sys.stdout.write(text) == len(text)
        assert kept.said == [f"STDOUT INFO {record}" for record in records]
        assert isinstance(stream, LogStream)

    def test_lines_stay_lines_in_json(self, kept: Kept) -> None:
        with StderrLogStream(as_json=True):
            print("a\nb", file=sys.stderr)
        assert kept.said == ["STDERR INFO a\nb"]

    def test_flushing_keeps_the_beginning_of_a_line(self, kept: Kept) -> None:
        with StdoutLogStream():
            print("whole\nbegin", end="", flush=True)
            assert kept.said == ["STDOUT INFO whole"]
            print("ning", flush=True)
        assert kept.said == ["STDOUT INFO whole", "STDOUT INFO beginning"]

    def test_much_text_without_an_end_is_not_kept_waiting(self, kept: Kept) -> None:
        with StdoutLogStream():
            print("x" * 70_000, end="")
            assert len(kept.said) == 1

    def test_of_much_progress_only_the_last_state_is_kept(self, kept: Kept) -> None:
        with StderrLogStream():
            for percent in range(20_000):
                sys.stderr.write(f"\r{percent} of many")
        assert kept.said == ["STDERR INFO 19999 of many"]

    def test_long_progress_is_seen_in_between(self, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(StderrLogStream, "seconds_between", 0)
        with StderrLogStream():
            for percent in (10, 20):
                sys.stderr.write(f"\r{percent}%")
        assert kept.said == ["STDERR INFO 10%", "STDERR INFO 20%"]

    def test_threads_do_not_mix(self, kept: Kept) -> None:
        barrier = Barrier(4)

        def speak(word: str) -> None:
            for _ in range(20):
                barrier.wait()
                print(word, word)

        with StdoutLogStream():
            threads = [Thread(target=speak, args=(word,)) for word in "abcd"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(kept.said) == sorted(f"STDOUT INFO {word} {word}" for word in "abcd" * 20)

    def test_what_is_left_when_a_thread_ends_is_not_lost(self, kept: Kept) -> None:
        with StdoutLogStream():
            thread = Thread(target=lambda: print("left", end=""))
            thread.start()
            thread.join()
        assert kept.said == ["STDOUT INFO left"]

    def test_the_stream_is_restored_also_after_an_error(self, kept: Kept) -> None:
        out, err = sys.stdout, sys.stderr
        with pytest.raises(ZeroDivisionError), StdoutLogStream(), StderrLogStream():
            raise ZeroDivisionError(print("before", end=""))
        assert (sys.stdout, sys.stderr) == (out, err)
        assert kept.said == ["STDOUT INFO before"]

    def test_one_that_was_kept_still_writes_afterwards(self, kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
        with StdoutLogStream() as stream:
            pass
        print("late", file=stream, flush=True)
        assert capsys.readouterr().out == "late\n"
        assert kept.said == []

    def test_it_can_be_used_again_but_not_in_itself(self, kept: Kept) -> None:
        stream = StdoutLogStream()
        for word in ("one", "two"):
            with stream:
                print(word)
        with stream, pytest.raises(UsageError, match="in use"), stream:
            pass
        assert kept.said == ["STDOUT INFO one", "STDOUT INFO two"]

    def test_without_any_handler_text_passes_through(self, kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
        logging.getLogger().handlers.clear()
        with StdoutLogStream(), StderrLogStream():
            print("seen")
            print("too", file=sys.stderr, flush=True)
        assert capsys.readouterr() == ("seen\n", "too\n")

    def test_a_handler_that_writes_to_the_stream_does_not_loop(
        self, kept: Kept, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with StdoutLogStream():
            logging.getLogger().addHandler(logging.StreamHandler(sys.stdout))
            print("round")
        assert kept.said == ["STDOUT INFO round"]
        assert capsys.readouterr().out == "round\n"

    def test_only_text_is_taken_and_nothing_is_lost_by_it(self, kept: Kept) -> None:
        with StdoutLogStream() as stream:
            print("before", end="")
            with pytest.raises(TypeError, match="takes str, not bytes"):
                stream.write(b"raw")  # type: ignore[arg-type]
            print("!")
        assert kept.said == ["STDOUT INFO before!"]

    def test_it_answers_as_a_stream(self, kept: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        with (tmp_path / "real").open("w", encoding="latin-1", errors="replace") as real:
            monkeypatch.setattr(sys, "stdout", real)
            with StdoutLogStream() as stream:
                assert stream.isatty() is False
                assert (stream.writable(), stream.readable(), stream.closed) == (True, False, False)
                assert (stream.encoding, stream.errors) == ("latin-1", "replace")
                assert stream.fileno() == real.fileno()
                assert stream.buffer is real.buffer
                assert stream.replaced is real
                assert isinstance(stream, io.TextIOBase)
                stream.writelines(["a\n", "b\n"])
        assert kept.said == ["STDOUT INFO a", "STDOUT INFO b"]


SCRIPT = """
import logging, os, subprocess, sys, warnings
import structlog
from dioptra.sdk.utilities.logging import *
as_json = {as_json}
clear_logger_handlers(); attach_stdout_stream_handler(as_json); set_logging_level("INFO")
configure_structlog(); configure_structlog()
with StdoutLogStream(as_json), StderrLogStream(as_json):
    print("printed")
    print("warned", file=sys.stderr)
    structlog.get_logger("mine").info("event %s", 1, key="value")
    structlog.get_logger("mine").debug("silent")
    logging.getLogger("std").info("standard")
    warnings.warn("careful")
    sys.stdout.flush()
    subprocess.run([sys.executable, "-c", "print('child')"], stdout=sys.stdout, check=True)
print("after")
"""


def run_script(as_json: bool, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(as_json=as_json)
    command = [sys.executable, "-W", "always", "-c", script]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True, **kwargs)


def test_a_whole_script_in_json() -> None:
    done = run_script(True, stdout=subprocess.PIPE)
    lines = done.stdout.splitlines()
    events = [(said["logger"], said["event"]) for said in map(json.loads, lines[:5])]
    assert events == [
        ("STDOUT", "printed"),
        ("STDERR", "warned"),
        ("mine", "event 1"),
        ("std", "standard"),
        ("py.warnings", json.loads(lines[4])["event"]),
    ]
    assert json.loads(lines[2])["key"] == "value"
    assert "careful" in lines[4]
    assert lines[5:] == ["child", "after"]
    assert done.stderr == ""


def test_a_whole_script_in_text() -> None:
    done = run_script(False, stdout=subprocess.PIPE)
    assert [word in done.stdout for word in ("printed", "warned", "event 1", "key=value", "standard")] == [True] * 5
    assert "silent" not in done.stdout
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_an_output_that_breaks_is_reported_once_for_each_record() -> None:
    with Path("/dev/full").open("w") as full:
        script = SCRIPT.format(as_json=True).partition("    subprocess.run")[0] + "os._exit(0)"
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ},
        )
    assert done.stderr.count("--- Logging error ---") == 5


def test_text_that_no_encoding_can_hold_harms_nobody() -> None:
    """In a process of its own, because what is logged there cannot be handed from one test process to another."""
    code = (
        "import logging; from dioptra.sdk.utilities.logging import *\n"
        "attach_stdout_stream_handler(False); set_logging_level('INFO'); configure_structlog()\n"
        "with StdoutLogStream(False): print('a\\udcffb'); print('after')"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

    assert done.returncode == 0
    assert b"after" in done.stdout
