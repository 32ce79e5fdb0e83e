"""What the inference server takes and answers: JSON and npz, and a sentence for each way to get them wrong."""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dioptra.errors import DioptraError
from tests.integration.inference import (
    BODY_LIMIT,
    HEAD,
    JSON,
    NPZ,
    Server,
    Start,
    ask,
    npz,
    post,
    speak,
)


def test_samples_are_predicted_as_json_and_as_npz(shared: Server) -> None:
    samples = np.arange(12, dtype="float64").reshape(3, 4)

    as_json = post(shared, {"inputs": samples.tolist()})
    as_npz = post(shared, npz(inputs=samples), NPZ)
    fortran = post(shared, npz(compressed=True, inputs=np.asfortranarray(samples.astype(">f4"))), NPZ + "; v=1")

    assert as_json.headers["Content-Type"] == JSON
    assert as_json.json == {"outputs": [[6, 3], [22, 3], [38, 3]]}
    for answer in (as_npz, fortran):
        assert answer.headers["Content-Type"] == NPZ
        assert np.load(io.BytesIO(answer.body))["outputs"].tolist() == as_json.json["outputs"]


def test_the_answer_has_the_type_that_accept_names(shared: Server) -> None:
    text, binary = {"inputs": [[1, 2, 3, 4]]}, npz(inputs=np.ones((1, 4)))

    assert post(shared, text, Accept=NPZ).headers["Content-Type"] == NPZ
    assert post(shared, binary, NPZ, Accept="text/html, application/json;q=0.9").headers["Content-Type"] == JSON
    assert post(shared, binary, NPZ, Accept="*/*").headers["Content-Type"] == NPZ


def test_npz_carries_nan_and_json_says_that_it_cannot(shared: Server) -> None:
    body = npz(inputs=np.array([[np.nan, 1, 2, 3]]))

    assert np.isnan(np.load(io.BytesIO(post(shared, body, NPZ).body))["outputs"][0, 0])
    refused = post(shared, body, NPZ, Accept=JSON)
    assert refused.status == 406
    assert "the outputs hold NaN or infinity" in refused.error


def test_more_samples_than_fit_a_batch_are_answered_in_order(shared: Server) -> None:
    samples = np.repeat(np.arange(1000.0)[:, None], 4, axis=1)

    outputs = np.load(io.BytesIO(post(shared, npz(inputs=samples), NPZ).body))["outputs"]

    assert outputs[:, 0].tolist() == (np.arange(1000) * 4).tolist()
    assert outputs[:, 1].max() <= 64


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is not JSON"),
        (b"{", "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b'{"inputs": [[1, 2, 3, NaN]]}', "the body is not JSON"),
        (b'{"inputs": [[1, 2, 3, Infinity]]}', "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON: recursion limit exceeded"),
        (b'{"inputs": ' + b"[" * 100 + b"1" + b"]" * 100 + b"}", "the lists differ in length or depth"),
        (b'{"a":' * 100_000, "the body is not JSON: recursion limit exceeded"),
        ([[1, 2, 3, 4]], "the body is a list, not an object"),
        ("x", "the body is a text, not an object"),
        ({}, "is missing | inputs | write {"),
        ({"input": [[1]]}, "'input' is not a field of a request |  | did you mean 'inputs'?"),
        ({"inputs": [[1, 2, 3, 4]], "x": 1}, "'x' is not a field"),
        ({"inputs": None}, "is null, not a list"),
        ({"inputs": 5}, "is a number, not a list"),
        ({"inputs": {"a": 1}}, "is an object, not a list"),
        ({"inputs": []}, "there is no sample"),
        ({"inputs": [1, 2, 3, 4]}, "this is one sample of shape (4,) | inputs | send a list of samples"),
        ({"inputs": [[1, 2, 3]]}, "a sample has shape (3,) | inputs | the model takes (4,)"),
        ({"inputs": [[[1, 2, 3, 4]]]}, "a sample has shape (1, 4)"),
        ({"inputs": [[]]}, "a sample has shape (0,)"),
        ({"inputs": [[1, 2, 3, 4], [1, 2]]}, "inputs[1] holds 2 values and inputs[0] holds 4"),
        ({"inputs": [[1, 2, 3, [4]]]}, "inputs[0][3] is a list and inputs[0][0] is a number"),
        ({"inputs": [[1, 2, 3, 4], 5]}, "inputs[1] is a number and inputs[0] is a list"),
        ({"inputs": [[1, 2, 3, "4"]]}, "the samples hold a number and a text"),
        ({"inputs": [["a" * 10_000, *"bcd"]] * 50}, "the samples hold a text"),
        ({"inputs": [[1, 2, 3, None]]}, "the samples hold a number and null"),
        ({"inputs": [[1, 2, 3, {}]]}, "the samples hold a number and an object"),
        ({"inputs": [[1, 2, 3, True]]}, "the samples hold a number and true or false"),
        ({"inputs": [[True] * 4]}, "the samples hold true and false | inputs | the model takes float32"),
        (b'{"inputs": [[1, 2, 3, 1e999]]}', "a number is too large for 64 bits"),
        (b'{"inputs": [[1, 2, 3, 1' + b"0" * 400 + b"]]}", "a number is too large for 64 bits"),
        ({"inputs": [[1, 2, 3, 1e300]]}, "1e+300 does not fit float32"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "body",  # bytes of npz hold the time
)
def test_bad_json_is_told_what_is_wrong(shared: Server, body: object, words: str) -> None:
    before = len(shared.seen())

    answer = post(shared, body)

    assert answer.status == 422
    assert words in answer.error
    assert len(shared.seen()) == before


def lying(shape: tuple[int, ...], data: bytes = b"1234") -> bytes:
    """Return an npz file whose header promises an array of another size than it holds."""
    member, file = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"shape": shape, "fortran_order": False, "descr": "<f4"})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inputs.npy", member.getvalue() + data)
    return file.getvalue()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def many(count: int) -> bytes:
    arrays: dict[str, Any] = {f"a{number}": ONE for number in range(count)}
    return npz(**arrays)


ONE = np.ones((1, 4))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not an npz file"),
        (b"hello", "not an npz file"),
        (b"PK\x03\x04", "cannot be read"),
        (npz(inputs=ONE)[:-30], "cannot be read"),
        (
            npz(compressed=True, inputs=np.arange(400.0).reshape(100, 4)).replace(b"\x00\x00", b"\x00\x01"),
            "cannot be read",
        ),
        (npz(input=ONE), "the npz file holds input |  | it must hold 'inputs' and nothing else"),
        (npz(inputs=ONE, labels=ONE), "the npz file holds inputs, labels"),
        (many(40), "not an npz file with one array"),
        (zipped(**{"../inputs.npy": b""}), "the npz file holds ../inputs"),
        (zipped(**{"inputs.npy": b"not an array"}), "cannot be read"),
        (zipped(inputs=b"1234"), "cannot be read"),
        (npz(inputs=np.array([[{}, 1, 2, 3]], dtype=object)), "pickles and records are not read"),
        (npz(inputs=np.zeros((1, 4), dtype="f4,f4")), "pickles and records are not read"),
        (npz(inputs=np.array([["a", "b", "c", "d"]])), "the samples hold text"),
        (npz(inputs=ONE * 1j), "the samples hold complex numbers"),
        (npz(inputs=np.float64(1)), "there is no sample"),
        (npz(inputs=np.zeros((0, 4))), "there is no sample"),
        (npz(inputs=np.full((1, 4), 1e300)), "1e+300 does not fit float32"),
        (npz(inputs=np.ones(4)), "this is one sample of shape (4,)"),
        (lying((10**12, 4)), "holds 4 bytes for shape (1000000000000, 4)"),
        (lying((-1, -1)), "cannot be read"),
        (lying((1, 0)), "holds 4 bytes for shape (1, 0)"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "body",  # bytes of npz hold the time
)
def test_a_bad_npz_is_told_what_is_wrong(shared: Server, body: bytes, words: str) -> None:
    answer = post(shared, body, NPZ)

    assert answer.status == 422
    assert words in answer.error


class Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_nothing_is_ever_unpickled(shared: Server, tmp_path: Path) -> None:
    trap = Trap(tmp_path / "caught")
    bodies = [npz(inputs=np.array([[trap] * 4])), pickle.dumps(trap), zipped(**{"inputs.npy": pickle.dumps(trap)})]

    assert [post(shared, body, NPZ).status for body in bodies] == [422] * 3
    assert not trap.file.exists()


def test_an_array_that_unpacks_to_more_than_the_limit_is_not_unpacked(shared: Server) -> None:
    bomb = npz(compressed=True, inputs=np.zeros((5_000_000, 4)))
    assert len(bomb) < BODY_LIMIT

    answer = post(shared, bomb, NPZ)

    assert answer.status == 413
    assert "the array takes 160000128 bytes unpacked | inputs | the limit is 1000000" in answer.error


def test_a_body_is_not_read_past_the_limit(shared: Server) -> None:
    assert post(shared, b" " * (BODY_LIMIT + 1)).status == 413
    announced = ask(shared, body=b"", Content_Type=JSON, Content_Length=str(10**15))
    assert (announced.status, "larger than 1000000 bytes" in announced.error) == (413, True)

    with speak(shared, HEAD + b"Transfer-Encoding: chunked\r\n\r\n") as connection:
        for _ in range(BODY_LIMIT // 65_536 + 1):  # and no end
            connection.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_json_has_a_lower_limit_than_npz(start: Start) -> None:
    server = start(constants={"_app.JSON_LIMIT": 1000})

    refused = post(server, {"inputs": [[1, 2, 3, 4]] * 100})

    assert refused.status == 413
    assert "larger than 1000 bytes |  | send fewer samples at once, or application/x-npz" in refused.error
    assert post(server, npz(inputs=np.ones((100, 4))), NPZ).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-pickle", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(shared: Server, kind: str) -> None:
    answer = post(shared, b"{}", kind)

    assert answer.status == 415
    assert "send application/json or application/x-npz" in answer.error


def test_other_paths_and_methods_are_answered_in_the_same_shape(shared: Server) -> None:
    assert "there is no such path" in ask(shared, "/nothing").error
    assert "there is no such path" in ask(shared, "/predict/", method="GET").error
    for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PROPFIND"):
        assert (answer := ask(shared, "/predict", method=method)).status == 405, method
        assert "no such method" in answer.error


def test_a_model_that_fails_is_a_sentence_and_no_traceback(shared: Server) -> None:
    answer = post(shared, {"inputs": [[-1, 2, 3, 4]]})

    assert answer.status == 500
    assert "the model failed on these inputs with ValueError" in answer.error
    assert b"inner words" not in answer.body
    assert b"Traceback" not in answer.body
    assert "ValueError: inner words of the model" in shared.errors()


@pytest.mark.parametrize(
    ("dtype", "inputs", "words"),
    [
        ("uint8", [[300]], "300 does not fit uint8 (0 to 255)"),
        ("uint8", [[-2]], "-2 does not fit uint8"),
        ("int64", [[1.5]], "the samples hold numbers with a fraction | inputs | the model takes int64"),
        ("int32", [[2**31]], "2147483648 does not fit int32"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(dtype: str, inputs: object, words: str) -> None:
    from dioptra.learning._wire import cast, read_json

    with pytest.raises(DioptraError) as caught:
        cast(read_json(json.dumps({"inputs": inputs}).encode()), (1,), dtype)

    assert words in " | ".join(list(caught.value.to_dict().values())[1:])


def test_a_length_may_be_any(start: Start) -> None:
    server = start(shape=[-1, 2], dtype="int64")

    assert post(server, {"inputs": [[[1, 2], [3, 4], [5, 6]]]}).json["outputs"] == [[21, 1]]
    assert post(server, {"inputs": [[[1, 2]], [[3, 4]]]}).json["outputs"] == [[3, 2], [7, 2]]
    assert "the model takes (any, 2)" in post(server, {"inputs": [[1, 2, 3]]}).error


def test_the_snapshot_and_the_health_are_told(shared: Server) -> None:
    assert ask(shared, "/healthz", method="GET").json == {"status": "ok", "waiting": 0}
    assert ask(shared, "/snapshot", method="GET").json == {"id": "abc123", "loss": None}


def test_the_description_is_whole_and_the_page_loads_nothing_from_elsewhere(shared: Server) -> None:
    page = ask(shared, "/docs", method="GET")
    description = ask(shared, "/openapi.json", method="GET").json

    assert set(description["paths"]) == {"/predict", "/healthz", "/snapshot"}
    predict = description["paths"]["/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == set(predict["responses"]["200"]["content"]) == {JSON, NPZ}
    assert {"413", "415", "422", "500", "503"} < set(predict["responses"])
    assert {"PredictAnswer", "ErrorAnswer", "Health"} < set(description["components"]["schemas"])
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert not re.search(rb"<script|<img|<link|src=|https?://|@import|url\(", page.body)
    assert b"POST /predict" in page.body
