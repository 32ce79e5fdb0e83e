"""The report in a real browser: everything is shown, nothing is fetched, nothing that was given is run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dioptra.results import CurvePoint, JobLine, Provenance, RobustnessCurve, gallery_rows, write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>{{7*7}}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    points = [
        CurvePoint(epsilon=e, clean_accuracy=0.95, robust_accuracy=r, samples=599, mean_l2=e * 7, mean_linf=e)
        for e, r in [(0.05, 0.85), (0.1, 0.65), (0.2, 0.09), (0.3, 0.002)]
    ]
    rng = np.random.default_rng(0)
    data = {"x_clean": rng.random((20, 8, 8, 1)), "x_adv": rng.random((20, 8, 8, 1)), "y": np.arange(20) % 10}
    return write_report(
        tmp_path_factory.mktemp("report") / "report.html",
        RobustnessCurve(points=tuple(points), model_name=HOSTILE, model_version="1", dataset=HOSTILE, attack=HOSTILE),
        title="How robust? " + HOSTILE,
        gallery=gallery_rows({0.1: data, 0.3: data}),
        provenance=Provenance(
            experiment=HOSTILE,
            jobs=[JobLine(entry_point=HOSTILE, parameters={HOSTILE: HOSTILE}, job_id=HOSTILE, run_id=HOSTILE)],
            versions={HOSTILE: HOSTILE},
            commands=[HOSTILE],
        ),
    )


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
def test_a_person_sees_the_whole_report(browser: Browser, report: Path, width: int, height: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": height})
    requests: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))

    page.goto(report.as_uri())

    sizes = page.eval_on_selector_all("img", "all => all.map(i => [i.naturalWidth, i.getBoundingClientRect().width])")
    assert len(sizes) == 2
    assert all(natural > 100 and shown > 200 for natural, shown in sizes)
    assert page.eval_on_selector_all("img", "all => all.every(i => i.alt.length > 20)")
    assert page.locator("table").first.locator("tbody tr").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert messages == []
    page.close()


def test_nothing_that_was_given_is_run(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    page.wait_for_timeout(300)

    assert page.title() != "run"
    assert page.locator("script").count() == 0
    assert page.locator("img[src=x]").count() == 0
    assert "49" not in page.locator("h1").inner_text()
    page.close()
