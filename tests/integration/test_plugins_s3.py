"""Collections of task plugins in a real S3, and the jobs that use them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dioptra.errors import DioptraError, NotFoundError, StoreUnreachableError
from dioptra.records import JobStatus
from dioptra.testbed import Testbed
from tests.integration.conftest import SECRET_KEY, free_ports, s3_client

MLPROJECT = "name: toys\nentry_points:\n  main: {command: python toy.py}\n"
TOY = """
import os
from dioptra import pyplugs
from dioptra.sdk.utilities.contexts import plugin_dirs
with plugin_dirs():
    print("answer", pyplugs.call("dioptra_custom.sums", "ops", "add", x=40))
    print("shipped", pyplugs.call("dioptra_builtins.ours", "ops", "add", x=50))
print(sorted(name for name in os.environ if name.startswith("DIOPTRA_") and "PLUGINS" in name))
"""
OPS = "from dioptra import pyplugs\nfrom .more import AMOUNT\n@pyplugs.register\ndef add(x): return x + AMOUNT\n"


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A bucket with both collections of 0.x, and the settings that name them."""
    name = f"plugins-{abs(hash(request.node.nodeid)) % 10**9}"
    for variable, value in s3.items():
        monkeypatch.setenv(variable, value)
    client = s3_client(s3)
    client.create_bucket(Bucket=name)
    for collection, package in (("dioptra_custom", "sums"), ("dioptra_builtins", "ours")):
        put(client, name, f"{collection}/{package}", 2)
    monkeypatch.setenv("DIOPTRA_PLUGINS_S3_URI", f"s3://{name}/dioptra_builtins")
    monkeypatch.setenv("DIOPTRA_CUSTOM_PLUGINS_S3_URI", f"s3://{name}/dioptra_custom/")
    return name


def put(client: Any, bucket: str, prefix: str, amount: int) -> None:
    for key, text in (("ops.py", OPS), ("more.py", f"AMOUNT = {amount}\n")):
        client.put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=text.encode())


@pytest.fixture
def testbed(tmp_path: Path, made_store: Path) -> Testbed:
    (tmp_path / "home").mkdir()
    shutil.copy(made_store, tmp_path / "home" / "mlflow.db")
    return Testbed(tmp_path / "home")


@pytest.fixture
def toys(tmp_path: Path) -> Path:
    folder = tmp_path / "toys"
    folder.mkdir()
    (folder / "MLproject").write_text(MLPROJECT)
    (folder / "toy.py").write_text(TOY)
    return folder


def log(testbed: Testbed, job_id: str) -> str:
    return testbed.paths(testbed.job(job_id)).log_file.read_text()


def test_a_job_gets_what_was_there_when_it_was_submitted(
    testbed: Testbed, toys: Path, bucket: str, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = testbed.submit(toys)
    put(s3_client(s3), bucket, "dioptra_custom/sums", 3)
    second = testbed.submit(toys)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9")  # workers need no store
    testbed.worker(burst=True).run()

    assert [testbed.job(each.id).status for each in (first, second)] == [JobStatus.FINISHED] * 2
    assert "answer 42\nshipped 52\n[]\n" in log(testbed, first.id)
    assert "answer 43\nshipped 52\n[]\n" in log(testbed, second.id)
    assert first.request["plugin_sources"]["dioptra_custom"] == f"s3://{bucket}/dioptra_custom"
    versions = testbed.plugins.jobs("dioptra_custom")
    assert [[job.id for job in jobs] for jobs in versions.values()] == [[second.id], [first.id]]


@pytest.mark.parametrize("trouble", ["down", "gone", "wrong key", "half pushed"])
def test_a_store_that_has_no_whole_collection_ends_the_submit(
    testbed: Testbed, toys: Path, bucket: str, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    if trouble == "down":
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://127.0.0.1:{free_ports(1)[0]}")
    elif trouble == "gone":
        monkeypatch.setenv("DIOPTRA_PLUGINS_S3_URI", "s3://no-such-bucket/dioptra_builtins")
    elif trouble == "wrong key":
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not this one")
    else:
        s3_client(s3).put_object(Bucket=bucket, Key="dioptra_custom/.dioptra-upload", Body=b"")
    for act in (testbed.submit, testbed.run):
        with pytest.raises(NotFoundError if trouble == "gone" else StoreUnreachableError) as caught:
            act(toys)
        assert "PLUGINS_S3_URI" in str(caught.value)
        assert SECRET_KEY not in str(caught.value)
        assert "not this one" not in str(caught.value)

    assert testbed.jobs() == []
    assert not list(testbed.home.path.glob("jobs/*"))


def test_taken_at_the_start_when_asked_for(testbed: Testbed, toys: Path, bucket: str, s3: dict[str, str]) -> None:
    from dioptra.testbed import Submission

    job = testbed.submit(toys, submission=Submission(plugins_at_start=True))
    put(s3_client(s3), bucket, "dioptra_custom/sums", 7)
    testbed.worker(burst=True).run()
    assert "answer 47" in log(testbed, job.id)
    conditions = json.loads(testbed.paths(testbed.job(job.id)).conditions_file.read_text())
    assert conditions["plugin_sources"]["dioptra_custom"] == f"s3://{bucket}/dioptra_custom"


def test_a_job_whose_plugins_cannot_be_had_at_its_start_fails_in_words(
    testbed: Testbed, toys: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dioptra.testbed import Submission

    job = testbed.submit(toys, submission=Submission(plugins_at_start=True))
    monkeypatch.setenv("DIOPTRA_PLUGINS_S3_URI", "s3://no-such-bucket/x")
    testbed.worker(burst=True).run()
    found = testbed.job(job.id)
    assert (found.status, "no-such-bucket" in found.reason) == (JobStatus.FAILED, True), found.reason


def test_pushed_listed_and_pulled(testbed: Testbed, bucket: str, s3: dict[str, str], tmp_path: Path) -> None:
    source = tmp_path / "sums"
    source.mkdir()
    (source / "ops.py").write_text(OPS)
    (source / "more.py").write_text("AMOUNT = 8\n")
    done = testbed.plugins.push(source)
    assert (done.name, done.changes.sent, done.changes.kept) == ("dioptra_custom.sums", ("more.py",), 1)
    assert {each.name: each.sha256 for each in testbed.plugins.collections()}["dioptra_custom"] == done.sha256
    keys = [each["Key"] for each in s3_client(s3).list_objects_v2(Bucket=bucket)["Contents"]]
    assert [key for key in keys if "upload" in key] == []
    testbed.plugins.pull("dioptra_custom", tmp_path / "out")
    assert (tmp_path / "out" / "sums" / "more.py").read_text() == "AMOUNT = 8\n"


def test_credentials_are_nowhere(
    testbed: Testbed, toys: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(
        "DIOPTRA_PLUGINS", f"far=https://ada:pass-word@127.0.0.1:{free_ports(1)[0]}/x.zip?sig=sig-nature"
    )
    with pytest.raises(DioptraError) as caught:
        testbed.submit(toys)
    assert "pass-word" not in str(caught.value)
    assert "sig-nature" not in str(caught.value)
    monkeypatch.delenv("DIOPTRA_PLUGINS")
    testbed.run(toys)
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or SECRET_KEY.encode() not in file.read_bytes(), file
