"""The plots and the report: what they show, that they need nothing else, and that nothing given can become markup."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from base64 import b64decode
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

from dioptra.errors import UsageError
from dioptra.results import (
    CurvePoint,
    GalleryRow,
    JobLine,
    Provenance,
    RobustnessCurve,
    draw_curve,
    draw_gallery,
    write_report,
)

PAYLOADS = [
    "<img src=x onerror=alert(1)>",
    "{{7*7}}",
    '"><script>alert(1)</script>',
    "javascript:alert(1)",
    "${7*7}",
    r"$\frac$",
]


def curve(*robust: float, name: str = "digits") -> RobustnessCurve:
    points = tuple(
        CurvePoint(epsilon=index / 10, clean_accuracy=0.95, robust_accuracy=accuracy, samples=599)
        for index, accuracy in enumerate(robust)
    )
    return RobustnessCurve(points=points, model_name=name, model_version="3", dataset="handwritten digits")


GALLERY = [GalleryRow("clean", np.zeros((3, 8, 8, 1))), GalleryRow("0.1", np.full((3, 8, 8, 1), 0.5))]
FALLING = curve(0.95, 0.4, 0.02)


class Page(HTMLParser):
    """Collect what a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        self.text += " " if tag in ("th", "td", "dt", "dd", "p") else ""

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def report(tmp_path: Path, robustness: RobustnessCurve = FALLING, **options: object) -> Page:
    path = write_report(tmp_path / "report.html", robustness, **options)  # type: ignore[arg-type]
    return Page(path.read_text(encoding="utf-8"))


def svg_texts(svg: bytes) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314


def test_the_curve_is_drawn_with_its_lines_named() -> None:
    texts = svg_texts(draw_curve(FALLING))

    assert {"clean", "attacked", "95% interval", "guessing", "100%", "images labelled right"} <= set(texts)
    assert any("epsilon" in text for text in texts)


def test_plots_come_as_png_too_and_the_same_plot_gives_the_same_bytes() -> None:
    png = draw_curve(FALLING, "png")

    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert width > 1000
    assert height > 600
    assert draw_curve(FALLING) == draw_curve(FALLING)
    assert draw_gallery(GALLERY, "png") == draw_gallery(GALLERY, "png")


def test_a_curve_that_differs_is_drawn_differently() -> None:
    assert draw_curve(FALLING, "png") != draw_curve(curve(0.95, 0.4, 0.3), "png")


def test_the_gallery_shows_every_image_and_the_label_of_every_row() -> None:
    svg = draw_gallery(GALLERY)

    assert svg.count(b"<image") == 6
    assert {"clean", "0.1"} <= set(svg_texts(svg))


def test_plots_of_no_kind_and_of_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no format 'pdf' .* have: png, svg"):
        draw_curve(FALLING, "pdf")
    with pytest.raises(UsageError, match="at least one row"):
        draw_gallery([])


def test_drawing_leaves_matplotlib_as_it_was() -> None:
    before = dict(mpl.rcParams)
    draw_curve(FALLING)
    assert dict(mpl.rcParams) == before


def test_the_report_says_what_was_found(tmp_path: Path) -> None:
    page = report(tmp_path, title="How robust?", gallery=GALLERY)

    assert "The model digits, version 3, labels 95.0% of 599 images of handwritten digits right" in page.words
    assert "with epsilon 0.2, the strongest measured, it labels 2.0% of them right" in page.words
    assert (
        "At epsilon 0.1 more than half of its accuracy is gone; from 0.2 on it does worse than guessing" in page.words
    )
    assert "(36.2-44.0)" in page.words


def test_the_report_does_not_claim_a_fall_that_is_not_there(tmp_path: Path) -> None:
    page = report(tmp_path, curve(0.95, 0.94, 0.93))

    assert "is gone" not in page.words
    assert "worse than guessing" not in page.words
    assert "do not read this curve as robustness" not in page.words


def test_the_report_warns_when_a_stronger_attack_leaves_more_right(tmp_path: Path) -> None:
    assert "do not read this curve as robustness" in report(tmp_path, curve(0.95, 0.2, 0.6)).words


def test_the_report_tells_where_the_numbers_come_from(tmp_path: Path) -> None:
    page = report(
        tmp_path,
        provenance=Provenance(
            experiment="first-look",
            seed=42,
            jobs=[JobLine(entry_point="fgm", parameters={"eps": "0.1"}, job_id="0b1f5c5e", run_id="057d7044")],
            versions={"dioptra": "0.1.0", "numpy": "2.4.6"},
            commands=["dioptra run digits -e train -P seed=42", "dioptra run digits -e fgm"],
            created_at=datetime(2026, 11, 20, 6, 30, tzinfo=UTC),
        ),
    )

    for fact in (
        *("first-look", "Seed 42", "digits 3", "fgm", "eps=0.1", "0b1f5c5e", "057d7044", "dioptra 0.1.0, numpy 2.4.6"),
        *("dioptra run digits -e train -P seed=42 dioptra run digits -e fgm", "2026-11-20 06:30 UTC"),
    ):
        assert fact in page.words, fact


def test_the_report_needs_no_network_and_runs_nothing(tmp_path: Path) -> None:
    page = report(tmp_path, gallery=GALLERY)

    assert not page.all("script")
    assert not page.all("link")
    assert all(str(image["src"]).startswith("data:image/svg+xml;base64,") for image in page.all("img"))
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "href"]
    [policy] = [meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert str(policy["content"]).startswith("default-src 'none'")
    assert "@import" not in page.text
    assert "url(" not in page.text


def test_the_report_can_be_read_without_eyes(tmp_path: Path) -> None:
    page = report(tmp_path, gallery=GALLERY, provenance=Provenance(jobs=[JobLine(entry_point="train")]))

    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    assert all(attributes.get("scope") in ("col", "row") for attributes in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table")) == 3
    curve_image, gallery_image = page.all("img")
    assert "40.0% at epsilon 0.1, 2.0% at epsilon 0.2" in str(curve_image["alt"])
    assert "clean, epsilon 0.1" in str(gallery_image["alt"])


@pytest.mark.parametrize("payload", PAYLOADS)
def test_nothing_that_was_given_becomes_markup_or_is_evaluated(tmp_path: Path, payload: str) -> None:
    clean = report(tmp_path, gallery=GALLERY, provenance=everything("x"), title="x")
    dirty = report(
        tmp_path,
        RobustnessCurve(
            points=FALLING.points, model_name=payload, model_version=payload, dataset=payload, attack=payload
        ),
        title=payload,
        gallery=[GalleryRow(payload, row.images) for row in GALLERY],
        provenance=everything(payload),
    )

    assert [tag for tag, _ in dirty.tags] == [tag for tag, _ in clean.tags]
    assert [sorted(attributes) for _, attributes in dirty.tags] == [sorted(attributes) for _, attributes in clean.tags]
    assert dirty.text.count(payload) > 10
    for image in dirty.all("img"):
        ET.fromstring(b64decode(str(image["src"]).partition(",")[2]))  # noqa: S314


def everything(text: str) -> Provenance:
    return Provenance(
        experiment=text,
        seed=1,
        jobs=[JobLine(entry_point=text, parameters={text: text}, job_id=text, run_id=text)],
        versions={text: text},
        commands=[text],
    )


def test_a_report_that_cannot_be_made_leaves_the_old_one(tmp_path: Path) -> None:
    report(tmp_path)
    before = (tmp_path / "report.html").read_bytes()

    with pytest.raises(UsageError, match=r"image of shape \(2, 2, 2, 2\)"):
        report(tmp_path, gallery=[GalleryRow("clean", np.zeros((1, 2, 2, 2, 2)))])

    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == before
