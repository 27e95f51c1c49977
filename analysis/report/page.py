"""One self-contained HTML page per study: the answer, sortable tables, figures inline."""

import base64
import html
import shlex
from importlib.resources import files
from pathlib import Path

from analysis.bundle import vocabulary as words
from analysis.bundle.contents import Bundle
from analysis.figures.all_figures import all_figures
from analysis.findings.captions import at_coverage
from analysis.rendering.files import store
from analysis.rendering.forms import Table
from analysis.rendering.html import table_section
from analysis.report.evidence_page import INTRODUCTION, Section, sections, to_page

DECISIVE = ("levels", "quality_macs", "placement_heatmap")  # the first one drawn heads the page
_SIGNALS = ("noisy", "enhanced", "clean")


def write_page(bundle: Bundle, tables: list[Table], drawn: dict[str, Path],
               skipped: dict[str, str], answer: list[str], path: Path) -> None:  # fmt: skip
    """Write the report page, and beside the tables the page of evidence, `evidence.md`.

    Args:
        bundle: The study.
        tables: All tables.
        drawn: Figure to its PNG.
        skipped: Figure to the reason why it was not drawn.
        answer: What the study says, one sentence each.
        path: The HTML file.
    """
    study = bundle.study["study"]
    title = html.escape(str(study.get("title") or bundle.name))
    links = [f'<a href="#{t.name}">{html.escape(t.title)}</a>' for t in tables]
    proof = sections(bundle)
    links += ['<a href="#evidence">Evidence</a>'] if proof else []
    links += ['<a href="#figures">Figures</a>', '<a href="#provenance">Provenance</a>']
    parts = [
        f"<header><h1>{title}</h1>"
        f'<p class="question">{html.escape(str(study.get("question", "")))}</p></header>',
        "<main>",
        _answer(answer, drawn),
        f'<nav aria-label="Contents">{"".join(links)}</nav>',
        _interactive(bundle.folder.name),
        _filter(),
        *[table_section(table) for table in tables],
        _evidence(proof),
        _figures(drawn, skipped),
        _listening(bundle.folder / "audio"),
        _provenance(bundle),
        "</main>",
    ]
    text = at_coverage(bundle, document(title, "\n".join(parts)))
    evidence = at_coverage(bundle, to_page(bundle, proof)).encode()
    store(bundle, path.parent / "tables" / "evidence.md", evidence)
    store(bundle, path, text.encode())


def document(title: str, body: str) -> str:
    """Return a whole page with its style and script inside; both arguments are HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{title}</title>'
        f"<style>{_asset('page.css')}</style></head>\n"
        f"<body>\n{body}\n<script>{_asset('page.js')}</script>\n</body></html>\n"
    )


def _asset(name: str) -> str:
    return files("analysis.report").joinpath(name).read_text(encoding="utf-8")


def _filter() -> str:
    """Return the HTML form that narrows every table by row name, metric and condition."""
    metrics = "".join(f'<option value="{k}">{m.label}</option>' for k, m in words.METRICS.items())
    conditions = "".join(f"<option>{name}</option>" for name in words.CONDITIONS)
    return (
        '<form id="filter" aria-label="Filter the tables"><label>Rows with '
        '<input type="search" name="rows" placeholder="such as EMB, single, dense"></label>'
        f'<label>Metric <select name="metric"><option value="">all</option>{metrics}</select>'
        '</label><label>Condition <select name="condition"><option value="">all</option>'
        f"{conditions}</select></label></form>"
    )


def _answer(answer: list[str], drawn: dict[str, Path]) -> str:
    """Return the HTML of the answer and, beside it, of the figure that shows it best."""
    said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in answer)
    name = _decisive(drawn)
    figure = _figure(name, drawn[name]) if name else ""
    return f'<section id="answer" class="answer"><div>{said}</div>{figure}</section>'


def _decisive(drawn: dict[str, Path]) -> str | None:
    return next((name for name in DECISIVE if name in drawn), None)


def _figure(name: str, path: Path) -> str:
    _, draw = all_figures()[name]
    legend = html.escape(" ".join((draw.__doc__ or "").split()))
    data = path.read_bytes()
    image = base64.b64encode(data).decode()
    return (
        f'<figure><img alt="{legend}" width="{_width(data) * 144 // 300}" '
        f'src="data:image/png;base64,{image}"><figcaption class="caption">{legend}</figcaption>'
        "</figure>"
    )


def _width(png: bytes) -> int:
    return int.from_bytes(png[16:20], "big")  # of the PNG's header


def _interactive(study: str) -> str:
    """Return the HTML paragraph on how to filter and brush the same runs in MLflow."""
    command = html.escape(f"python run_all.py ui --study {shlex.quote(study)}")
    return (
        f'<p class="caption">To filter and brush these runs, start '
        f"<code>{command}</code> and open a view of "
        'the <a href="http://127.0.0.1:5000/#/experiments">MLflow UI</a>: placements, '
        "expert mode, quality against cost.</p>"
    )


def _evidence(proof: list[Section]) -> str:
    """Return the HTML of each finding with evidence for and against; a click opens the numbers."""
    if not proof:
        return ""
    parts = [f'<h2 id="evidence">Evidence</h2><p class="caption">{html.escape(INTRODUCTION)}</p>']
    for section in proof:
        said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in section.sentences)
        lists = "".join(
            f"<dt>{html.escape(heading)}</dt><dd>{'<br>'.join(map(html.escape, items)) or '–'}</dd>"
            for heading, items in section.lists.items()
        )
        tables = "".join(table_section(table) for table in section.tables)
        parts.append(
            f"<section><h3>{html.escape(section.title)}</h3>{said}"
            f"{f'<dl>{lists}</dl>' if lists else ''}"
            f"<details><summary>Numbers</summary>{tables}</details></section>"
        )
    return "".join(parts)


def _figures(drawn: dict[str, Path], skipped: dict[str, str]) -> str:
    sections = []
    for name, (title, _) in all_figures().items():
        if name == _decisive(drawn):
            continue  # it heads the page
        if name not in drawn and name not in skipped:
            continue
        if name in drawn:
            content = _figure(name, drawn[name])
            wide = " class=wide" if _width(drawn[name].read_bytes()) > 1100 else ""
        else:
            content, wide = f'<p class="caption">Not drawn: {html.escape(skipped[name])}.</p>', ""
        sections.append(f"<section{wide}><h2>{html.escape(title)}</h2>{content}</section>")
    return f'<div id="figures" class="figures">{"".join(sections)}</div>'


def _listening(folder: Path) -> str:
    """Return HTML players for the triplet of one utterance per condition; empty without any."""
    rows = []
    for condition in words.DISTORTED:
        paths = [folder / f"{condition}-{signal}.wav" for signal in _SIGNALS]
        if not all(path.is_file() for path in paths):
            continue
        data = [base64.b64encode(path.read_bytes()).decode() for path in paths]
        players = [f'<audio controls src="data:audio/wav;base64,{each}"></audio>' for each in data]
        cells = "".join(f"<td>{player}</td>" for player in players)
        rows.append(f'<tr><th class="text">{condition}</th>{cells}</tr>')
    if not rows:
        return ""
    heads = "".join(f'<th class="text">{signal}</th>' for signal in ("", *_SIGNALS))
    return (
        f'<h2 id="audio">To listen to</h2><div class="scroll"><table><tr>{heads}</tr>'
        f"{''.join(rows)}</table></div>"
    )


def _provenance(bundle: Bundle) -> str:
    runs = bundle.own_runs
    facts = {
        "Study": bundle.name,
        "Runs": str(len(runs)),
        "Corpus": str(bundle.study.get("corpus", "")),
        "Data hash": str(runs["data_hash"].iloc[0]),
        "Code": ", ".join(sorted(runs["git_commit"].dropna().astype(str).unique())),
        "Devices": ", ".join(sorted(runs["device"].dropna().astype(str).unique())),
        "Python": str(bundle.study.get("python", "")),
        "Packages": ", ".join(f"{k} {v}" for k, v in bundle.study.get("packages", {}).items()),
    }
    rows = "".join(f"<dt>{k}</dt><dd>{html.escape(v)}</dd>" for k, v in facts.items())
    return f'<section id="provenance"><h2>Provenance</h2><dl>{rows}</dl></section>'
