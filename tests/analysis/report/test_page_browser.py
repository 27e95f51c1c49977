"""The report page in a real browser: filter, sort, hover, colours, print, accessibility."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.report.build import build_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
QUICK = Path(__file__).parents[3] / "results" / "quick"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("results") / "quick"
    shutil.copytree(QUICK, folder)
    return build_report(folder).page.resolve().as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, address) -> Iterator:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    opened.goto(address)
    yield opened
    context.close()


def rows(page) -> list[str]:
    return page.locator(
        "#table1_main tbody tr:not(.group):visible td:first-child"
    ).all_inner_texts()


def test_the_answer_is_on_the_first_screen(page):
    box = page.locator("#answer p").first.bounding_box()
    assert box["y"] + box["height"] < 400


def test_rows_metrics_and_conditions_can_be_filtered(page):
    everything = rows(page)
    page.fill("#filter [name=rows]", "s-moe")
    assert 0 < len(rows(page)) < len(everything)
    assert all("S-MoE" in row for row in rows(page))
    page.select_option("#filter [name=metric]", "stoi")
    assert page.locator("#table1_main tbody:visible").count() == 1
    page.select_option("#filter [name=condition]", "reverb")
    heads = page.locator("#table1_main thead th:visible").all_inner_texts()
    names = {head.split()[0] for head in heads}
    assert "reverb" in names and not {"noise", "both", "clean", "clean:"} & names
    page.fill("#filter [name=rows]", "")
    page.select_option("#filter [name=metric]", "")
    page.select_option("#filter [name=condition]", "")
    assert rows(page) == everything


def test_a_column_is_sorted_and_marked(page):
    head = page.locator("#table2_placements thead th").nth(1)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    cells = page.locator("#table2_placements tbody tr:not(.group) td:nth-child(2)")
    values = [float(v) for v in cells.evaluate_all("c => c.map(x => x.dataset.value)") if v]
    assert values == sorted(values, reverse=True) and len(values) > 3


def test_a_number_says_its_interval(page):
    cell = page.locator("#table1_main tbody tr:not(.group) td[title]").first
    assert cell.get_attribute("title").startswith("95 % interval from ")


def test_heads_stay_while_a_table_scrolls(page):
    box = page.locator("#table1_main .scroll")
    before = page.locator("#table1_main thead th").nth(1).bounding_box()["y"]
    box.evaluate("b => { b.style.maxHeight = '150px'; b.scrollTop = 200; }")
    assert abs(page.locator("#table1_main thead th").nth(1).bounding_box()["y"] - before) <= 3


def test_dark_mode_has_dark_paper(browser, address):
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(address)
    red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0]")
    assert int(red) < 60
    context.close()


def test_no_column_is_cut_in_print(browser, address):
    context = browser.new_context(viewport={"width": 1032, "height": 740})  # A4 across, 12 mm edges
    page = context.new_page()
    page.goto(address)
    page.emulate_media(media="print")
    wide = page.evaluate("[...document.querySelectorAll('table')].filter("
                         "t => t.getBoundingClientRect().right > innerWidth).map("
                         "t => t.closest('section').id)")  # fmt: skip
    assert wide == []
    context.close()


def test_a_telephone_scrolls_tables_and_not_the_page(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_accessibility_checker_finds_nothing_serious(browser, address, scheme):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe is not installed"
    )
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    found = axe.Axe().run(page).response["violations"]
    serious = {v["id"]: v["nodes"][0]["html"][:120] for v in found
               if v["impact"] in ("serious", "critical")}  # fmt: skip
    assert serious == {}
    context.close()
