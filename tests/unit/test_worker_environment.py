"""What a job may see of the environment of the testbed."""

from __future__ import annotations

import pytest

from dioptra import settings
from dioptra.worker import job_environment


@pytest.mark.parametrize(
    "variable",
    [
        "DIOPTRA_DATABASE_URL",
        "DIOPTRA_TOKEN",
        "DIOPTRA_WORKER_TOKEN",
        "DIOPTRA_SECRET_KEY",
        "DIOPTRA_DEPLOY_SECRET_KEY",
        "DIOPTRA_ADMIN_PASSWORD",
        "DIOPTRA_WHATEVER_COMES",
        "DIOPTRA_JOB_ID",
        "DIOPTRA_ATTEMPT",
        "MLFLOW_BACKEND_STORE_URI",
        "MLFLOW_FLASK_SERVER_SECRET_KEY",
    ],
)
def test_what_is_the_testbeds_own_stays_out(variable: str) -> None:
    assert variable not in job_environment({}, {variable: "secret"})
    assert job_environment({variable: "given"}, {variable: "secret"})[variable] == "given"


@pytest.mark.parametrize(
    "variable",
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "HF_TOKEN",
        "HOME",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_URI",
        "MY_DIOPTRA_TOKEN",
        "DIOPTRA_EXECUTOR",
        "DIOPTRA_HOME",
        "DIOPTRA_JOB_LOG_AS_JSON",
        "DIOPTRA_JOB_LOG_LEVEL",
        "DIOPTRA_PLUGIN_DIR",
    ],
)
def test_what_scripts_need_stays(variable: str) -> None:
    assert job_environment({}, {variable: "kept"})[variable] == "kept"


def test_every_setting_is_decided_upon() -> None:
    ours = {entry.variable for entry in settings.SETTINGS if entry.variable.startswith("DIOPTRA_")}
    kept = {variable for variable in ours if variable in job_environment({}, {variable: "x"})}

    assert kept == {
        "DIOPTRA_EXECUTOR",
        "DIOPTRA_HOME",
        "DIOPTRA_JOB_LOG_AS_JSON",
        "DIOPTRA_JOB_LOG_LEVEL",
        "DIOPTRA_PLUGIN_DIR",
    }


def test_what_opens_the_testbeds_postgresql_stays_out() -> None:
    own = {"DIOPTRA_DATABASE_URL": "postgresql://host/name", "PGPASSWORD": "secret", "PGHOST": "host"}

    assert not own.keys() & job_environment({}, own).keys()
    assert job_environment({}, {"PGPASSWORD": "of a script"})["PGPASSWORD"] == "of a script"
