"""The table of settings."""

from __future__ import annotations

import pytest

from dioptra import settings


def test_names_and_variables_are_unique_and_described() -> None:
    assert len({entry.name for entry in settings.SETTINGS}) == len(settings.SETTINGS)
    assert len({entry.variable for entry in settings.SETTINGS}) == len(settings.SETTINGS)
    assert all(entry.sentence.endswith(".") for entry in settings.SETTINGS)


@pytest.mark.parametrize(("environ", "level"), [({}, "INFO"), ({"DIOPTRA_JOB_LOG_LEVEL": ""}, "INFO")])
def test_an_unset_or_empty_variable_gives_the_default(environ: dict[str, str], level: str) -> None:
    assert settings.get("job_log_level", environ) == level


def test_a_set_variable_wins() -> None:
    assert settings.get("job_log_level", {"DIOPTRA_JOB_LOG_LEVEL": "DEBUG"}) == "DEBUG"


def test_the_process_environment_is_read_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not settings.flag("job_log_as_json")
    monkeypatch.setenv("DIOPTRA_JOB_LOG_AS_JSON", "0")
    assert settings.flag("job_log_as_json")  # any text, as in 0.x
