"""What goes wrong on the way to a real S3 server: it is tried again or said in words, and never half kept."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from dioptra.errors import BaseOptionalDependencyError, CaptureError, NotFoundError, StoreUnreachableError, UsageError
from dioptra.storage import fetch, fetch_bundle, send_folder
from tests.integration.certificates import certificate_of_ones_own
from tests.integration.conftest import ACCESS_KEY, SECRET_KEY, free_ports
from tests.integration.storage_faults import Asked, Fault, first, proxy
from tests.integration.test_storage_sync import BUCKET, FILES, Place, between, lay_out, place, tree

__all__ = ["between", "place"]  # fixtures

BUSY = Fault(status=503, body=b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>")
FETCH = """
import sys
from pathlib import Path
from dioptra.storage import fetch_bundle
print(fetch_bundle(sys.argv[1], Path(sys.argv[2]), cache=Path(sys.argv[3])))
"""


def refused(error: type[Exception], message: str, act: Callable[[], object], *secrets: str) -> Exception:
    """Assert that something fails in words, none of which is a credential, and return the error."""
    with pytest.raises(error, match=message) as caught:
        act()
    words = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(vars(caught.value))
    for secret in (SECRET_KEY, ACCESS_KEY + "'", "Signature=", "Credential=", *secrets):
        assert secret not in words, words
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_busy_store_is_asked_again(place: Place) -> None:
    place.proxy.fault = first(3, BUSY)
    assert tree(place.store / place.fetch()) == FILES


def test_a_store_that_stays_busy_is_said_in_seconds(place: Place) -> None:
    place.proxy.fault = lambda asked: BUSY
    started = time.monotonic()
    refused(StoreUnreachableError, r"cannot be read \(SlowDown, said by http://.*; try again later", place.fetch)
    assert time.monotonic() - started < 20
    assert len(place.proxy.asked) == 4
    assert place.kept() == []


def test_a_store_that_gets_busy_in_the_middle_leaves_nothing(place: Place) -> None:
    place.proxy.fault = lambda asked: BUSY if "add.py" in asked.path else None
    refused(StoreUnreachableError, "SlowDown", place.fetch)
    assert place.kept() == []


@pytest.mark.parametrize("after", [0, 5])
def test_a_connection_that_is_cut_off_is_tried_again(place: Place, after: int) -> None:
    place.proxy.fault = first(2, Fault(cut_after=after))
    assert tree(place.store / place.fetch()) == FILES


def test_a_connection_that_is_always_cut_off(place: Place) -> None:
    place.proxy.fault = lambda asked: None if asked.is_listing else Fault(cut_after=3)
    started = time.monotonic()
    refused(StoreUnreachableError, "connection was cut off", place.fetch)
    assert time.monotonic() - started < 30
    assert place.kept() == []


def test_a_content_that_is_shorter_than_listed_is_not_kept(place: Place) -> None:
    place.proxy.fault = lambda asked: Fault(shortened_by=2) if "add.py" in asked.path else None
    refused(StoreUnreachableError, "is being changed; try again when it is whole", place.fetch)
    assert place.kept() == []


def test_a_slow_store_is_waited_for(place: Place) -> None:
    place.put("long.txt", b"x" * 2000)
    place.proxy.fault = lambda asked: None if asked.is_listing else Fault(bytes_a_second=1000)
    assert (place.store / place.fetch() / "long.txt").stat().st_size == 2000


@pytest.mark.parametrize("what", ["changed", "deleted", "added"])
def test_what_changes_between_listing_and_fetching_is_fetched_as_it_is_then(place: Place, what: str) -> None:
    done: list[Asked] = []

    def change(asked: Asked) -> None:
        if "top.py" in asked.path and not done:
            done.append(asked)
            if what == "deleted":
                place.delete("top.py")
            else:
                place.put("top.py" if what == "changed" else "new.py", b"x = 2")

    place.proxy.fault = change
    found = tree(place.store / place.fetch())

    changed = {"changed": {"top.py": b"x = 2"}, "added": {"new.py": b"x = 2"}, "deleted": {}}[what]
    expected = {**FILES, **changed}
    if what == "deleted":
        del expected["top.py"]
    assert found == expected
    assert len(place.kept()) == 1


def test_what_is_changed_and_changed_back_is_not_kept_as_it_was_between(place: Place) -> None:
    before = place.client.get_object(Bucket=BUCKET, Key=f"{place.prefix}/top.py")["Body"].read()
    done: list[str] = []

    def change(asked: Asked) -> None:
        if "top.py" in asked.path and not done:
            done.append("changed")
            place.put("top.py", b"x = 9")
        elif asked.is_listing and done == ["changed"]:
            done.append("back")
            place.put("top.py", before)

    place.proxy.fault = change
    assert tree(place.store / place.fetch()) == FILES
    assert done == ["changed", "back"]


def test_what_never_rests_is_refused(place: Place) -> None:
    def change(asked: Asked) -> None:
        if asked.is_listing:
            place.put("top.py", str(time.monotonic_ns()).encode())

    place.proxy.fault = change
    refused(StoreUnreachableError, "is being changed; try again when it is whole", place.fetch)
    assert place.kept() == []
    assert place.proxy.listings == 10


@pytest.mark.parametrize("mark", [".dioptra-upload", "mine/.dioptra-upload"])
def test_half_of_a_push_is_not_taken(place: Place, mark: str) -> None:
    first_one = place.fetch()
    place.put(mark, b"")
    refused(
        StoreUnreachableError,
        "is not whole: .* push was cut off; try again; if nobody pushes there, push again with --resume",
        place.fetch,
    )
    place.delete(mark)
    assert place.fetch() == first_one


def test_wrong_keys(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-this-one")
    for act in (
        place.fetch,
        lambda: fetch(place.uri, place.folder / "into"),
        lambda: send_folder(Path(__file__).parent, place.uri),
    ):
        refused(StoreUnreachableError, r"\((SignatureDoesNotMatch|status 403), said by http.*; check the credentials",
                act, "not-this-one")  # fmt: skip
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    refused(StoreUnreachableError, r"\(InvalidAccessKeyId, said by", place.fetch, "nobody'")
    assert place.kept() == []


def test_no_keys(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    refused(StoreUnreachableError, "AccessDenied.*; check the credentials", place.fetch)


@pytest.mark.parametrize("endpoint", ["environment", "profile", "services"])
def test_keys_of_a_profile(
    place: Place, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, endpoint: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    url = f"endpoint_url = {place.proxy.url}"
    profile = {"environment": "", "profile": url, "services": "services = mine"}[endpoint]
    (tmp_path / "config").write_text(
        f"[profile lab]\nregion = eu-west-1\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        f"{profile}\n[services mine]\ns3 =\n  {url}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lab")
    if endpoint != "environment":
        monkeypatch.delenv("MLFLOW_S3_ENDPOINT_URL")

    assert tree(place.store / place.fetch()) == FILES
    monkeypatch.setenv("AWS_PROFILE", "other")
    refused(UsageError, "settings of AWS cannot be read .*other.*; see AWS_PROFILE", place.fetch)


def test_a_bucket_that_is_gone(place: Place) -> None:
    gone = "s3://gone-bucket/x"
    acts = (
        lambda: fetch_bundle(gone, place.store, cache=place.store),
        lambda: fetch(gone, place.folder / "into"),
        lambda: send_folder(Path(__file__).parent, gone),
    )
    for act in acts:
        refused(NotFoundError, "there is no bucket 'gone-bucket', which 's3://gone-bucket/x' names; make it", act)
    assert place.kept() == []


@pytest.mark.parametrize(
    ("endpoint", "error", "message"),
    [
        ("http://127.0.0.1:{}", StoreUnreachableError, r"\(nobody answers at http://127.*; check the address"),
        ("http://no-such-host.invalid", StoreUnreachableError, r"\(nobody answers at http://no-such-host.invalid\)"),
        ("nonsense", UsageError, "MLFLOW_S3_ENDPOINT_URL has 'nonsense', which is no address of a server; write it as"),
        ("http://ada:pass-word@127.0.0.1:{}", UsageError, "has 'http://127.0.0.1:.*', which is no address"),
    ],
)
def test_nobody_answers(
    place: Place, monkeypatch: pytest.MonkeyPatch, endpoint: str, error: type[Exception], message: str
) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", endpoint.format(free_ports(1)[0]))
    started = time.monotonic()
    refused(error, message, place.fetch, "pass-word")
    assert time.monotonic() - started < 10
    assert place.kept() == []


def test_a_host_that_takes_no_connection_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        held = [socket.socket() for _ in range(3)]
        for each in held:  # they fill the queue: later ones get no answer
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://{}:{}".format(*deaf.getsockname()))
        started = time.monotonic()
        refused(StoreUnreachableError, r"\((nobody answers|no answer in time) at", place.fetch)
        assert time.monotonic() - started < 20
        for each in held:
            each.close()


def test_a_process_that_is_killed_leaves_no_bundle(place: Place) -> None:
    place.proxy.fault = lambda asked: Fault(silent=20) if "top.py" in asked.path else None
    argv = [sys.executable, "-c", FETCH, place.uri, str(place.store), str(place.folder / "cache")]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    over = time.monotonic() + 20
    while not any("top.py" in asked.path for asked in place.proxy.asked) and time.monotonic() < over:
        time.sleep(0.05)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()

    (left,) = place.kept()
    assert left.startswith(".pin-")
    place.proxy.fault = lambda asked: None
    sha256 = place.fetch()
    assert place.kept() == sorted([left, sha256])
    os.utime(place.store / left, (0, time.time() - 25 * 3600))
    place.put("new.py", b"")
    assert left not in [place.fetch(), *place.kept()]


def test_an_interrupt_ends_it_soon(place: Place) -> None:
    place.put("large.bin", b"x" * 20_000)
    place.proxy.fault = lambda asked: Fault(bytes_a_second=4_000) if "large" in asked.path else None
    argv = [sys.executable, "-c", FETCH, place.uri, str(place.store), str(place.folder / "cache")]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE)
    while not any("large" in asked.path for asked in place.proxy.asked):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate(timeout=15)[1]
    assert place.kept() == []


def test_a_disk_that_is_full_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from dioptra.storage import _sync

    def full(path: Path, digest: bytes | None) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_sync, "_finished", full)
    message = r"cannot be kept in '.*store' \(No space left on device\); see whether the disk is full"
    refused(CaptureError, message, place.fetch)
    assert place.kept() == []


def test_a_certificate_of_ones_own(place: Place, s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = map(str, certificate_of_ones_own(place.folder, is_authority=False))
    with proxy(s3["MLFLOW_S3_ENDPOINT_URL"], (certificate, key)) as secured:
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", secured.url)
        refused(StoreUnreachableError, "a certificate is not trusted .*; set AWS_CA_BUNDLE to the file", place.fetch)
        monkeypatch.setenv("AWS_CA_BUNDLE", certificate)
        assert tree(place.store / place.fetch()) == FILES
    monkeypatch.setenv("AWS_CA_BUNDLE", "/no/such/file")
    refused(UsageError, "AWS_CA_BUNDLE names '/no/such/file', which cannot be read", place.fetch)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://ada:pass-word@bucket/x",
        "s3://ada:pass-wo/rd@bucket/x",
        "https://ada:pass-word@127.0.0.1:{}/x.zip",
        "https://127.0.0.1:{}/x.zip?X-Amz-Signature=pass-word",
        "https://127.0.0.1:{}/x.zip?a=1&token=pass-word#sig=pass-word",
        "nosuch://ada:pass-word@host/x?sig=pass-word",
        "gs://ada:pass-word@bucket/x?token=pass-word",
        "ftp://ada:pass-word@127.0.0.1:{}/x",
    ],
)
def test_credentials_in_a_uri_are_shown_nowhere(place: Place, tmp_path: Path, uri: str) -> None:
    kinds = (StoreUnreachableError, UsageError, BaseOptionalDependencyError)
    uri = uri.format(free_ports(1)[0])
    for act in (
        lambda: fetch_bundle(uri, tmp_path / "store", cache=tmp_path / "cache"),
        lambda: fetch(uri, tmp_path / "into"),
        lambda: send_folder(lay_out(tmp_path / "local", FILES), uri),
    ):
        refused(kinds, "cannot be|does not begin|is needed|is no ", act, "pass-wo", "ada")  # type: ignore[arg-type]
    assert not list((tmp_path).rglob("store/*"))


def test_credentials_in_somebody_elses_words_are_not_shown(place: Place, tmp_path: Path) -> None:
    place.proxy.fault = lambda asked: Fault(status=403)
    uri = place.proxy.url.replace("//", "//ada:pass-word@") + "/x.zip?X-Amz-Signature=signed-so&Expires=99"
    act = lambda: fetch_bundle(uri, tmp_path / "store", cache=tmp_path / "cache")  # noqa: E731
    refused(StoreUnreachableError, r"x.zip' cannot be read \(403", act, "pass-word", "signed-so")


def test_a_region_that_is_another_is_said(place: Place) -> None:
    body = b"<Error><Code>PermanentRedirect</Code><Message>Use another endpoint.</Message></Error>"
    place.proxy.fault = lambda asked: Fault(status=301, body=body)
    refused(StoreUnreachableError, "set AWS_REGION to the region of the bucket", place.fetch)
