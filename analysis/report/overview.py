"""All studies together: their answers on one page, and how robust the findings are."""

import html
from collections import Counter
from pathlib import Path

from analysis.bundle.contents import Bundle
from analysis.bundle.load import load_reported
from analysis.findings.answer import answer
from analysis.findings.robustness import robustness_table
from analysis.rendering.files import store
from analysis.rendering.forms import Table
from analysis.rendering.html import table_section
from analysis.rendering.table_files import FORMATS
from analysis.report.build import build_report
from analysis.report.page import document
from smoe.schema.cells import is_trained
from smoe.schema.errors import BundleError

PAGE = "index.html"


def build_overview(results: Path) -> Path:
    """Write the reports of all studies, the table of robustness, and a page over all of them.

    A study without a complete seed has begun: the page says so, and it gets no report.

    Args:
        results: Results folder; each folder in it that has a bundle is a study.

    Returns:
        The page, `index.html`.

    Raises:
        BundleError: There is no study, or the bundle of one is incomplete or inconsistent.
    """
    folders = sorted(path.parent for path in results.glob("*/study.json"))
    if not folders:
        raise BundleError(f"There are no results in {results}; `run_all.py run` makes some.")
    bundles = [load_reported(folder) for folder in folders]
    for bundle in filter(has_whole_seed, bundles):
        build_report(bundle.folder)
    chosen = comparable(bundles)
    tables = [robustness_table(chosen)] if chosen else []
    for table in tables:
        for suffix, form in FORMATS.items():
            store(None, results / f"{table.name}.{suffix}", form(table).encode())
    store(None, results / PAGE, _page(bundles, tables).encode())
    return results / PAGE


def comparable(bundles: list[Bundle]) -> list[Bundle]:
    """Return the studies that share a test set with most others and have a complete seed."""
    complete = list(filter(has_whole_seed, bundles))
    keys = [_test_set(bundle) for bundle in complete]
    most = Counter(keys).most_common(1)
    chosen = [b for b, key in zip(complete, keys, strict=True) if most and key == most[0][0]]
    return sorted(chosen, key=lambda b: (-len(b.seeds), -len(b.cells()), b.name))


def has_whole_seed(bundle: Bundle) -> bool:
    """Return whether the runs of at least one seed are all done."""
    planned = bundle.study["study"].get("runs_per_seed")
    trained = bundle.runs[bundle.runs["cell"].map(is_trained).astype(bool)]
    return (
        planned is None
        or not bundle.counted
        or bool(
            (trained.groupby("seed").size() >= planned - len(bundle.study.get("failed", []))).any()
        )
    )


def _test_set(bundle: Bundle) -> tuple[str, str]:
    data = str(bundle.runs["data_hash"].iloc[0])
    return data, repr(sorted(bundle.study.get("config", {}).get("test", {}).items()))


def _page(bundles: list[Bundle], tables: list[Table]) -> str:
    parts = ["<header><h1>All studies</h1></header><main>"]
    for bundle in bundles:
        study = bundle.study["study"]
        title = html.escape(str(study.get("title") or bundle.name))
        sentences = [bundle.left_out]
        if has_whole_seed(bundle):
            link = html.escape(f"{bundle.folder.name}/report.html")
            title, sentences = f'<a href="{link}">{title}</a>', answer(bundle)
        said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences)
        parts.append(
            f'<section class="answer"><div><h2>{title}</h2>'
            f'<p class="question">{html.escape(str(study.get("question", "")))}</p>{said}</div>'
            "</section>"
        )
    return document("All studies", "\n".join([*parts, *map(table_section, tables), "</main>"]))
