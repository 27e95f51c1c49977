"""What people do in the MLflow UI, done in a real browser on a real server."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow.tracking import MlflowClient

from ablations.tracking.mlflow_database import default_uri
from ablations.tracking.mlflow_ui import rebuild
from ablations.tracking.saved_views import FILTERS, VIEWS, runs_link, view_link
from ablations.tracking.shown_cells import COLORS
from run_all import _summarise
from smoe.config import POSITIONS
from tests.ablations.conftest import ROOT, command, run_here
from tests.processes import start

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
PATIENCE_MS = 60_000
FULL = "EMBDL.multi.supervised.global"
PLACED = next(iter(FILTERS))
SHOTS = os.environ.get("SMOE_SCREENSHOTS")  # a folder: keep pictures of what was seen
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def results(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the smoke study, trained here for two steps, and stored bundles, all in MLflow."""
    folder = tmp_path_factory.mktemp("results")
    shutil.copytree(prepared, folder / ".corpora")
    settings = ("train.steps=2", "test.per_snr=1", "test.clean=0")
    asked = [part for setting in settings for part in ("--set", setting)]
    study = ("run", "--study", "smoke", "--only", FULL, "--no-report")
    finished = run_here(*study, *asked, "--results", folder)
    assert finished.returncode == 0, finished.stderr
    for stored in ("quick", "core"):
        shutil.copytree(ROOT / "results" / stored, folder / stored)
    rebuild(folder, "core", _summarise, trainings=False)
    return folder


@pytest.fixture(scope="module")
def address(results: Path) -> Iterator[str]:
    """The UI as `run_all.py ui` starts it; Ctrl-C must end it and leave no process behind."""
    process, url = _start(results, "quick")
    family = [process, *process.children(recursive=True)]
    yield url
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert not psutil.wait_procs(family, 5)[1]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser) -> Iterator:
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    # The UI opens its assistant on the first visit; everybody closes it.
    context.add_init_script(
        "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');"
    )
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    context.close()


def _start(results: Path, study: str) -> tuple[psutil.Popen, str]:
    process = start(command("ui", "--study", study, "--results", results, "--port", "0"))
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
    assert found, "the UI did not say where it is"
    return process, found[0]


def experiment(results: Path, study: str) -> str:
    found = MlflowClient(default_uri(results)).get_experiment_by_name(study)
    assert found is not None
    return found.experiment_id


def picture(page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


def wait_for_axes(page, names: set[str]) -> None:
    """Until a parallel-coordinates plot has these axes."""
    for name in names:
        page.locator("svg text", has_text=re.compile(f"^{name}$")).first.wait_for()


def test_a_ready_filter_then_compare_shows_five_booleans_and_pesq(results, address, page):
    page.goto(f"{address}{runs_link(experiment(results, 'quick'))}")
    search = page.get_by_placeholder("metrics.rmse")
    search.fill(PLACED)
    search.press("Enter")
    expected = MlflowClient(default_uri(results)).search_runs(
        [experiment(results, "quick")], PLACED
    )
    page.get_by_text(re.compile(rf"^{len(expected)}\s+matching runs")).wait_for()
    page.get_by_role("checkbox").first.check()  # of the head: all of them
    picture(page, "filter")
    page.get_by_role("button", name="Compare").click()
    page.get_by_text(f"Comparing {len(expected)} Runs").wait_for()
    choice = page.get_by_role("combobox").first
    choice.wait_for()
    chosen = set((choice.get_attribute("aria-description") or "").split(", "))
    choice.click()
    for name in chosen ^ set(POSITIONS):  # in what is chosen, or still to be chosen
        page.locator(".du-bois-light-select-item-option", has_text=name).click()
    page.keyboard.press("Escape")
    wait_for_axes(page, {*POSITIONS, "pesq_wb"})
    picture(page, "compare")


@pytest.mark.parametrize(
    ("study", "view", "axes"),
    [
        ("core", "placements", {*POSITIONS, "pesq_wb_reverb", "pesq_wb"}),
        ("quick", "expert-mode", {"placement", "expert_mode", "pesq_wb"}),
        ("core", "cost", {"macs", "pesq_wb", "params"}),
    ],
)
def test_a_saved_view_answers_its_question_at_once(study, view, axes, results, address, page):
    page.goto(address + view_link(experiment(results, study), view))
    page.get_by_text(VIEWS[view].question).first.wait_for()
    page.mouse.move(900, 700)
    page.mouse.wheel(0, 300)  # charts further down are drawn when they come into view
    wait_for_axes(page, axes)
    page.mouse.wheel(0, -300)
    picture(page, view)


def test_the_ui_opens_on_a_list_by_score_with_difference_interval_and_verdict(
    results, address, page
):
    """No name, number or head of it is cut; the dense network and each placement have a row."""
    core = experiment(results, "core")
    page.goto(address + view_link(core, "best"))
    for head in ("pesq_wb", "delta_pesq", "delta_from", "delta_to", "verdict"):
        page.get_by_role("columnheader", name=head).first.wait_for()
    rows = page.get_by_role("row").filter(has_text="mean")
    rows.first.wait_for()
    shown = rows.all_inner_texts()
    assert len(shown) > 10 and not any("…" in row for row in shown)
    best = MlflowClient(default_uri(results)).search_runs(
        [core], VIEWS["best"].search, order_by=["metrics.pesq_wb DESC"], max_results=1
    )
    page.get_by_role("link", name=best[0].info.run_name).first.wait_for()
    picture(page, "best")


def test_the_placements_are_32_dense_among_them_and_no_control(results, address, page):
    core = experiment(results, "core")
    page.goto(address + view_link(core, "placements"))
    page.get_by_text(re.compile(r"^32\s+matching runs")).wait_for()
    found = MlflowClient(default_uri(results)).search_runs([core], VIEWS["placements"].search)
    assert len({run.data.params["placement"] for run in found}) == 32
    assert "dense" in {run.data.tags["cell"] for run in found}


def test_the_scatter_has_few_colours(results, address, page):
    page.goto(address + view_link(experiment(results, "core"), "cost"))
    points = page.locator("svg .scatterlayer .point")
    points.first.wait_for()
    fills = points.evaluate_all("all => all.map(point => getComputedStyle(point).fill)")
    assert len(fills) >= 39 and 1 < len(set(fills)) < len(COLORS)


def test_a_box_plot_by_placement_is_a_link_and_two_choices_away(results, address, page):
    client = MlflowClient(default_uri(results))
    note = client.get_experiment(experiment(results, "core")).tags["mlflow.note.content"]
    page.goto(address + re.findall(r"\((#/compare-runs[^)]*)\)", note)[0])
    page.get_by_role("tab", name="Box Plot").click()
    for axis, choice in (("x", "late_decoder"), ("y", "pesq_wb")):
        page.locator(f"#{axis}-axis-selector").click()
        page.get_by_role("option", name=choice, exact=True).first.click()
    wait_for_axes(page, {"True", "False"})
    picture(page, "boxes")


def test_the_corpus_of_a_run_has_a_page_with_its_schema(results, address, page):
    client, quick = MlflowClient(default_uri(results)), experiment(results, "quick")
    trained = "tags.cell = 'dense' and tags.summary = 'false' and attributes.status = 'FINISHED'"
    until = time.monotonic() + 60
    while not (runs := client.search_runs([quick], trained)):
        assert time.monotonic() < until, "the trainings do not follow"
        time.sleep(0.5)
    page.goto(f"{address}#/experiments/{quick}/runs/{runs[0].info.run_id}")
    page.get_by_text("synthetic").first.click()
    for column in ("snr_db", "rt60_s", "speaker"):
        page.get_by_text(column, exact=True).first.wait_for()


def test_the_description_of_an_experiment_leads_to_the_views(results, address, page):
    page.goto(f"{address}{runs_link(experiment(results, 'quick'))}")
    link = page.get_by_role("link", name=VIEWS["cost"].question)
    link.first.wait_for(state="attached")
    assert "viewStateShareKey=cost" in link.first.get_attribute("href")


def test_audio_and_figures_of_a_run_show(results, address, page):
    client = MlflowClient(default_uri(results))
    (study,) = results.glob("smoke-*/study.json")  # which is named by its settings, too
    experiment_id = experiment(results, study.parent.name)
    cell = f"tags.cell = '{FULL}' and tags.summary = 'false'"
    run = client.search_runs([experiment_id], cell)[0].info.run_id
    page.goto(
        f"{address}#/experiments/{experiment_id}/runs/{run}/artifacts/audio/both-enhanced.wav"
    )
    audio = page.locator("audio")
    audio.wait_for()
    played_s = audio.evaluate(
        """async player => {
            player.muted = true;
            await player.play();
            await new Promise(done => setTimeout(done, 500));
            return player.currentTime;
        }"""
    )
    assert played_s > 0.1
    picture(page, "audio")
    page.get_by_text("figures", exact=True).click()
    page.get_by_text("spectrograms.png", exact=True).click()
    page.locator("img[src*='spectrograms'], img[src^='blob']").first.wait_for()
    picture(page, "spectrograms")
