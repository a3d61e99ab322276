"""The report of drift as a reader sees it, in a real browser: plots are there, it fits, and nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser
from typer.testing import CliRunner

from tests.support.browser import chromium, opened
from tidegate.cli.main import app

#: A phone, a tablet and a desk.
WIDTHS = (360, 800, 1400)
COLUMNS = ("amount", "a_column_with_a_long_name_and_no_place_to_break_it", "kind", "steady")


def table(seed: int, shift: float) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    amount = chance.normal(shift, 1.0, 4_000)
    amount[:200] = np.nan
    kinds = [*(f"a level with quite a long name, number {at}" for at in range(12)), "<b>bold</b>", None]
    return pd.DataFrame(
        dict(
            zip(
                COLUMNS,
                (amount, 1e6 * chance.random(4_000), chance.choice(kinds, 4_000), chance.integers(0, 5, 4_000)),
                strict=True,
            )
        )
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    for name, seed, shift in (("january", 1, 0.0), ("july", 2, 1.0)):
        table(seed, shift).to_parquet(folder / f"{name}.parquet")
    out = folder / "drift.html"
    files = [str(folder / "january.parquet"), str(folder / "july.parquet")]
    done = CliRunner().invoke(app, ["drift", "report", *files, "--together", "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_window_asks_for_nothing_else_and_complains_of_nothing(
    browser: Browser, report: Path, width: int
) -> None:
    with opened(browser, report, width=width) as seen:
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        # What is wider than the window scrolls by itself, and no text of a plot is cut off.
        cut = seen.page.eval_on_selector_all(
            "svg text",
            """texts => texts.filter(text => {
                const box = text.getBoundingClientRect(), plot = text.ownerSVGElement.getBoundingClientRect();
                return box.left < plot.left - 1 || box.right > plot.right + 1;
            }).map(text => text.textContent)""",
        )
        assert cut == []
        assert seen.asked == [report.absolute().as_uri()]
        assert seen.complaints == []


@pytest.mark.parametrize("dark", [False, True])
def test_every_column_has_a_plot_with_bars_of_both_sides_that_are_seen(
    browser: Browser, report: Path, dark: bool
) -> None:
    with opened(browser, report, width=1400, dark=dark) as seen:
        page = seen.page
        assert page.locator("h1").inner_text().startswith("Drift of july.parquet from january.parquet")
        titles = page.locator(".plots figure h3").all_inner_texts()
        assert sorted(title.rpartition(":")[0] for title in titles) == sorted(COLUMNS)
        paper = page.evaluate("getComputedStyle(document.querySelector('figure')).backgroundColor")
        for at in range(len(COLUMNS)):
            plot = page.locator(".plots figure svg").nth(at)
            for side in ("reference", "current"):
                bars = plot.locator(f"line.{side}")
                assert bars.count() >= 2
                widths = [bars.nth(place).bounding_box() for place in range(bars.count())]
                assert max(box["width"] for box in widths if box is not None) > 20
                assert bars.first.evaluate("bar => getComputedStyle(bar).stroke") != paper


def test_what_is_in_the_data_is_shown_as_text(browser: Browser, report: Path) -> None:
    with opened(browser, report, width=800) as seen:
        assert seen.page.locator("b").count() == 0
        assert seen.page.get_by_text("<b>bold</b>").count() >= 1
