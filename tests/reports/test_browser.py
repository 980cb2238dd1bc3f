"""The pages in a real browser: they ask for nothing, slider, film and tables work, all can read."""

import os
import shutil
from pathlib import Path

import pytest
from conftest import TINY

sync_api = pytest.importorskip(
    "playwright.sync_api",
    reason="the page is tried in Chromium by playwright: pip install '.[browser]'",
)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH"),
]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
EVALUATIONS = (
    '{"step": 4, "metric": "a", "value": 10.5, "low": 9, "high": 11, '
    '"protocol": "a | one", "protocol_id": "one"}\n'
    '{"step": 4, "metric": "b", "value": 9.5, "low": 9, "high": 10, '
    '"protocol": "b | two", "protocol_id": "two"}\n'
    '{"step": 4, "metric": "c", "value": 100, "low": 99, "high": 101, '
    '"protocol": "c | three", "protocol_id": "three"}\n'
)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


OFTEN = [
    "trainer.log_every=2",
    "trainer.evaluate_every=2",
    "trainer.sample_every=2",
    "trainer.steps=8",
]
PAGES = ["browsed/report.html", "swept/report.html"]


@pytest.fixture
def cards():
    """Runs end with their pages here."""


@pytest.fixture
def opened(browser, command, runs):
    """Opens a page of a tiny run or sweep; what the browser says or asks for is kept."""
    if not (runs / "swept").exists():
        assert command("train", *TINY, *OFTEN, "hydra.run.dir=browsed").code == 0
        Path("browsed/evaluations.jsonl").write_text(EVALUATIONS)
        assert command("report", "run=browsed").code == 0
        shutil.copytree("browsed", runs / "browsed")
        assert command("train", "-m", *TINY, *OFTEN, "seed=1,2", "hydra.sweep.dir=swept").code == 0
        shutil.copytree("swept", runs / "swept")
    heard, asked = [], []

    def opening(width=1000, scheme="light", path=PAGES[0], **options):
        page = browser.new_page(
            viewport={"width": width, "height": 800}, color_scheme=scheme, **options
        )
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: asked.append(request.url.partition(",")[0]))
        page.goto((runs / path).as_uri())
        page.heard, page.asked = heard, asked
        return page

    return opening


def test_it_says_nothing_on_the_console_and_asks_for_nothing_but_itself(opened):
    page = opened()
    assert page.heard == []
    assert {each for each in page.asked if not each.startswith("data:image/")} == {page.url}


def test_the_slider_changes_the_picture_by_its_keys(opened):
    page = opened()
    choice, pictures = (
        page.get_by_label("Training step"),
        page.get_by_role("img", name="Samples at"),
    )
    assert (pictures.count(), pictures.get_attribute("alt")) == (1, "Samples at step 8")
    choice.press("ArrowLeft")
    assert (pictures.count(), pictures.get_attribute("alt")) == (1, "Samples at step 6")
    assert choice.get_attribute("aria-valuetext") == "step 6"
    choice.press("Home")
    assert pictures.get_attribute("alt") == "Samples at step 2"


def test_the_film_starts_at_noise_and_plays_once_when_it_is_seen(opened):
    page = opened()
    film = page.get_by_role("img", name="Image and estimate")
    page.wait_for_timeout(300)
    assert film.get_attribute("alt") == "Image and estimate at step 0 of 3"
    film.scroll_into_view_if_needed()
    page.get_by_role("img", name="Image and estimate at step 3 of 3").wait_for()
    page.get_by_role("button", name="Play").wait_for()
    page.wait_for_timeout(500)
    assert film.get_attribute("alt") == "Image and estimate at step 3 of 3"
    page.get_by_role("button", name="Play").click()
    assert film.get_attribute("alt") == "Image and estimate at step 0 of 3"
    page.get_by_role("button", name="Pause").wait_for()


def test_nothing_moves_where_motion_is_not_wanted(opened):
    page = opened(reduced_motion="reduce")
    film = page.get_by_role("img", name="Image and estimate")
    film.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    assert film.get_attribute("alt") == "Image and estimate at step 3 of 3"
    assert page.get_by_role("button", name="Play").count() == 0
    page.get_by_label("Sampling step").press("Home")
    page.wait_for_timeout(500)
    assert film.get_attribute("alt") == "Image and estimate at step 0 of 3"


def test_a_film_stops_when_motion_is_no_longer_wanted(opened):
    page = opened()
    film = page.get_by_role("img", name="Image and estimate")
    page.wait_for_timeout(300)
    page.emulate_media(reduced_motion="reduce")
    film.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    assert film.get_attribute("alt") == "Image and estimate at step 0 of 3"


def test_a_button_copies_a_command(opened, browser):
    page = opened()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    block = page.locator("pre", has_text="import pandas")
    block.get_by_role("button", name="Copy").click()
    block.get_by_role("button", name="Copied").wait_for()
    lines = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert lines[0] == "import pandas" and lines[1].endswith("metrics.jsonl', lines=True)")


@pytest.mark.parametrize(("width", "columns"), [(1000, 1), (1400, 2)])
def test_a_wide_page_has_two_columns_and_the_nearest_images_beside_the_samples(
    opened, width, columns
):
    page = opened(width)
    names = ("Samples at", "The training image nearest")
    pictures = [page.get_by_role("img", name=name).bounding_box() for name in names]
    lists = [each.bounding_box() for each in page.locator(".columns > div").all()]
    for pair in (pictures, lists):
        assert len({box["x"] for box in pair}) == columns
        assert len({box["y"] for box in pair}) == 3 - columns
    order = page.locator(".slider").first.locator("img:visible, .outcome, input")
    names = order.evaluate_all("all => all.map(each => each.tagName)")
    assert names == ["IMG", "P", "INPUT", "IMG"]


@pytest.mark.parametrize("path", PAGES)
def test_every_picture_has_a_text(opened, path):
    page = opened(path=path)
    alone = "all => all.filter(each => !(each.alt || each.getAttribute('aria-label'))).length"
    assert page.locator("img, svg[role=img]").evaluate_all(alone) == 0
    assert page.locator("img, svg[role=img]").count() > 4


def test_a_table_is_sorted_by_its_heads(opened):
    page = opened()
    table = page.get_by_role("table", name="Metrics")
    names = table.locator("tbody th")
    table.get_by_role("button", name="value").click()
    assert names.all_text_contents() == ["b", "a", "c"]
    assert table.get_by_role("columnheader", name="value").get_attribute("aria-sort") == "ascending"
    table.get_by_role("button", name="value").click()
    assert names.all_text_contents() == ["c", "a", "b"]
    table.get_by_role("button", name="metric").click()
    assert names.all_text_contents() == ["a", "b", "c"]
    assert table.locator("[aria-sort]").count() == 1


def test_without_scripts_the_last_grid_and_no_control_are_shown(opened):
    page = opened(java_script_enabled=False)
    assert page.get_by_role("img", name="Samples at").get_attribute("alt") == "Samples at step 8"
    assert page.get_by_role("slider").count() == page.get_by_role("button").count() == 0


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [320, 360])
def test_a_phone_scrolls_downwards_only(opened, width, path):
    page = opened(width, path=path)
    page.locator("summary").evaluate_all("all => all.forEach(each => each.click())")
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.skipif(
    "AXE_CORE" not in os.environ, reason="AXE_CORE=axe.min.js (npm pack axe-core) names no file"
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_no_violation(opened, width, scheme, path):
    page = opened(width, scheme, path, bypass_csp=True)
    page.locator("summary").evaluate_all("all => all.forEach(each => each.click())")
    page.add_script_tag(path=os.environ["AXE_CORE"])
    found = page.evaluate("axe.run()")["violations"]
    assert [(each["id"], each["impact"]) for each in found] == []
