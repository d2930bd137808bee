"""The catalog in a real browser: search, keys, copying, themes; no script error, and no request to another origin."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import chromium
import generated
import pytest

from ailab_dataproc.settings import Settings
from ailab_dataproc.site.building import build
from ailab_dataproc.site.serving import Site

pytest.importorskip("playwright.sync_api")
pytestmark = chromium.needed
MANY = 60
DEFINITION = """
import pyarrow as pa
from ailab_dataproc import Dataset, column
name, *meaning = {column},
schema = pa.schema([column(name, pa.int64(), *meaning)])
dataset = Dataset(name="zoo/{name}", version="1.0.0", schema=schema, splits={{"train": "a.csv"}})
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site of 60 generated datasets; one has a description that would run."""
    place = tmp_path_factory.mktemp("catalog")
    names = generated.manifests(place / "data", MANY, 3)
    manifest = place / "data" / names[0] / "1.2.0" / "manifest.json"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("One row is", "<script>document.title='run'</script><img src=x onerror=alert(1)>"))
    for name, column in (("zebra", '"a"'), ("by_column", '"zebra"'), ("by_a_meaning", '"b", "kind of zebra"')):
        file = place / "definitions" / "zoo" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(DEFINITION.format(name=name, column=column), encoding="utf-8")
    settings = Settings(data_dir=str(place / "data"), datasets=(str(place / "definitions"),))
    return Path(build(settings, place / "site", samples=False).folder)


@pytest.fixture(scope="module")
def server(folder):
    with Site(str(folder), 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as started:
        yield started


@pytest.fixture
def opened(browser, server):
    """Open pages: `opened("", **context)`; at the end nothing was wrong on any and nothing was asked elsewhere."""
    wrong: list[str] = []
    asked: list[str] = []
    with contextlib.ExitStack() as stack:

        def page(path: str = "", base: str | None = None, **given):
            context = stack.enter_context(browser.new_context(**given))
            made = context.new_page()
            made.on("console", lambda one: wrong.append(one.text) if one.type in ("error", "warning") else None)
            made.on("pageerror", lambda one: wrong.append(str(one)))
            made.on("request", lambda one: asked.append(one.url))
            made.on("response", lambda one: wrong.append(one.url) if one.status >= 400 else None)
            made.goto((base or server.url) + path)
            return made

        yield page
    assert wrong == []
    assert asked
    assert all(one.startswith((server.url, "file://")) for one in asked)


def shown(page) -> list[str]:
    return page.locator("#datasets li:not([hidden]) .what a").all_inner_texts()


def count(page) -> str:
    return page.locator("#count").inner_text()


def test_typing_narrows_the_list_and_tells_how_many(opened):
    page = opened()
    everything = len(shown(page))
    page.locator("#query").press_sequentially("impressions")
    assert "impressions" in shown(page)[0]
    assert 0 < len(shown(page)) < everything
    assert count(page) == f"{len(shown(page))} of {everything} datasets"
    assert page.locator("#count").get_attribute("aria-live") == "polite"


def test_every_word_must_be_found(opened):
    page = opened()
    page.fill("#query", "clicks vision")
    assert all("clicks" in one for one in shown(page))
    page.fill("#query", "clicks nowhere")
    assert shown(page) == []


def test_a_name_stands_before_a_column_and_a_column_before_a_meaning(opened):
    page = opened()
    page.fill("#query", "zebra")
    assert shown(page) == ["zoo/zebra", "zoo/by_column", "zoo/by_a_meaning"]


def test_japanese_is_found_in_any_width(opened):
    page = opened()
    page.fill("#query", "検索語")
    assert len(shown(page)) == MANY
    assert "検索語: what was typed" in page.locator("#datasets li:not([hidden]) .hit").first.inner_text()
    page.fill("#query", "\uff50\uff52\uff49\uff43\uff45\u3000winning")  # full-width "price", and space
    assert len(shown(page)) == MANY
    page.fill("#query", "検索チーム")
    assert 0 < len(shown(page)) < MANY


def test_filters_and_the_search_work_together_and_come_back(opened, server):
    page = opened()
    page.select_option("#kind", "speech")
    page.fill("#query", "clicks")
    found = shown(page)
    assert found
    assert all(one.startswith("speech/") for one in found)
    page.locator("#datasets li:not([hidden]) .what a").first.click()
    page.wait_for_url("**/datasets/**")
    page.go_back()
    assert shown(page) == found
    assert page.input_value("#query") == "clicks"


def test_the_keyboard_is_enough(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("/")
    page.keyboard.type("orders")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent") == shown(page)[1]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "query"
    page.keyboard.press("Escape")
    assert count(page).endswith(" datasets")
    assert " of " not in count(page)
    page.keyboard.type("orders")
    first = shown(page)[0]
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets/**")
    assert page.locator("h1").inner_text() == first


def test_what_has_the_focus_can_be_seen(opened):
    page = opened()
    for _ in range(6):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_line_of_code_is_copied(opened, server):
    page = opened("datasets/products/ads/impressions_0.html", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the line for pandas").click()
    page.get_by_text("Copied", exact=True).first.wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith('adp.load("products/ads/impressions_0", split="train"')
    assert copied.endswith('backend="pandas")')
    assert page.locator("#said").inner_text() == "Copied"


@pytest.mark.parametrize("system", ["light", "dark"])
def test_a_theme_is_the_systems_until_another_is_chosen_and_that_is_remembered(opened, server, system):
    page = opened(color_scheme=system)
    ink = "getComputedStyle(document.body).color"
    before = page.evaluate(ink)
    button = page.locator("#theme")
    assert button.get_attribute("aria-pressed") == ("true" if system == "dark" else "false")
    button.click()
    after = page.evaluate(ink)
    assert after != before
    page.goto(server.url + "datasets/products/ads/impressions_0.html")
    assert page.evaluate(ink) == after


def test_a_script_in_a_description_is_text(opened):
    page = opened("datasets/products/ads/impressions_0.html")
    assert "<script>document.title='run'</script>" in page.locator(".prose").inner_text()
    assert page.title().startswith("products/ads/impressions_0:1.2.0")


def test_without_scripts_everything_can_be_read(opened):
    page = opened(java_script_enabled=False)
    assert len(shown(page)) >= MANY
    assert not page.locator("#query").is_visible()
    page.locator(".what a").first.click()
    assert not page.locator("button").first.is_visible()
    assert page.locator("table.columns").is_visible()


@pytest.mark.parametrize(
    "path", ["", "datasets/products/ads/impressions_0.html", "datasets/products/ads/clicks_5/1.0.0.html"]
)
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_never_scrolls_sideways(opened, path, width):
    page = opened(path, viewport={"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["", "datasets/products/ads/impressions_0.html"])
def test_text_stands_out_from_its_ground(opened, path, scheme):
    page = opened(path, color_scheme=scheme)
    assert page.evaluate(_CONTRAST) == []


def test_the_site_works_as_plain_files(opened, folder):
    page = opened("index.html", base=folder.as_uri() + "/")
    page.fill("#query", "winning bid")
    assert shown(page)
    page.fill("#query", "")
    page.locator(".what a").first.click()
    page.wait_for_url("**/datasets/**")
    assert page.locator(".crumbs").is_visible()


def test_pages_have_landmarks_headings_and_named_controls(opened):
    for path in ("", "datasets/products/ads/impressions_0.html"):
        page = opened(path)
        assert page.locator("main").count() == page.locator("h1").count() == page.locator("header").count() == 1
        assert page.get_attribute("html", "lang") == "en"
        assert page.locator("table:not(:has(th[scope]))").count() == 0
        unnamed = "[...document.querySelectorAll('input, select')].filter((one) => !one.labels.length).length"
        assert page.evaluate(unnamed) == 0
        ids = "[...document.querySelectorAll('[id]')].map((one) => one.id)"
        found = page.evaluate(ids)
        assert len(found) == len(set(found))


@pytest.mark.parametrize("path", ["", "datasets/products/ads/impressions_0.html", "datasets/zoo/zebra.html"])
def test_axe_finds_nothing_that_hinders_people(opened, path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(opened(path))
    assert found.violations_count == 0, found.generate_report()


# Text whose contrast is below 4.5 (WCAG 2.2, 1.4.3): its element and what it is.
_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parts = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const linear = (one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = parts(colour).map((one) => linear(one / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (parts(colour)[3] === 255) return colour;
    }
    return "white";
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !one.checkVisibility() || one.closest("svg")) continue;
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(`${one.tagName}.${one.className}: ${walker.currentNode.data.trim()}`);
  }
  return [...new Set(faint)];
}"""
