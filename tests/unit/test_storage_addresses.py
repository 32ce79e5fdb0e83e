"""Addresses are shown without credentials, however they were written."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dioptra.storage import shown
from dioptra.storage._addresses import without_secrets


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        ("https://host:8080/a@b", "https://host:8080/a@b"),
        ("https://ada:word@host:8080/a", "https://host:8080/a"),
        ("https://ada@host/a", "https://host/a"),
        ("s3://KEY:wo/rd@bucket/a", "s3://bucket/a"),
        ("s3://KEY:wo?rd#x@bucket/a", "s3://bucket/a"),
        ("s3://KEY:w@rd@bucket/a", "s3://bucket/a"),
        ("https://host/a?X-Amz-Signature=1&b=2", "https://host/a"),
        ("https://host?sig=1", "https://host"),
        ("https://host/a#access_token=1", "https://host/a"),
        ("https://ada:word@host/a?mail=a@b", "https://host/a"),
        ("/local/path?with#odd@signs", "/local/path?with#odd@signs"),
        ("", ""),
    ],
)
def test_what_is_shown(uri: str, expected: str) -> None:
    assert shown(uri) == expected


RAW = st.text(st.characters(codec="utf-8", exclude_characters="/?#@"), min_size=1)


@given(user=RAW, password=st.one_of(RAW, st.text().map(lambda text: quote(text, safe=""))), query=st.text())
def test_neither_a_password_nor_a_query_is_ever_shown(user: str, password: str, query: str) -> None:
    assert shown(f"https://{user}:{password}@host.example/path?token={query}") == "https://host.example/path"


def test_other_peoples_words_are_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very/secret")
    uri = "https://ada:pass%2Fword@host/x?X-Amz-Signature=abcdef&short=1"
    words = (
        f"GET {uri} failed: pass/word, pass%2Fword, very/secret, abcdef; see https://ada:other@else.where/?token=xyz"
    )

    assert without_secrets(words, uri) == "GET https://host/x failed: ..., ..., ..., ...; see https://else.where/"
