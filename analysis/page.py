"""One self-contained HTML page per study: the answer, sortable tables, figures inline."""

import base64
import html
import shlex
from pathlib import Path

import numpy as np

from analysis import vocabulary as words
from analysis.bundle import Bundle
from analysis.evidence_page import INTRODUCTION, Section, sections, to_page
from analysis.figures import all_figures
from analysis.render import Entry, Table, Value
from analysis.storing import store

DECISIVE = ("levels", "quality_macs", "placement_heatmap")  # the first one drawn heads the page
_SIGNALS = ("noisy", "enhanced", "clean")
_STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #57606a; --line: #d8dee4; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 84rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.75rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.75rem 0 .25rem; } h3 + p, h3 + p + p { margin: .25rem 0; }
summary { cursor: pointer; color: var(--accent); font-size: .85rem; }
nav { display: flex; flex-wrap: wrap; gap: .15rem .9rem; margin: 1rem 0; padding: .6rem 0;
  border-block: 1px solid var(--line); font-size: .85rem; }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
.question { color: var(--soft); font-size: 1.05rem; margin: 0; }
.caption, .notes { color: var(--soft); font-size: .85rem; max-width: 62rem; }
.notes p { margin: .35rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums;
  border-block: 2px solid var(--ink); }
th, td { padding: .22rem .6rem; white-space: nowrap; text-align: right; }
th.text, td.text { text-align: left; }
th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
thead th { border-bottom: 1px solid var(--ink); padding: 0; }
thead button { all: unset; cursor: pointer; padding: .35rem .6rem; font-weight: 600; }
thead button:hover { color: var(--accent); }
thead button:focus-visible { outline: 2px solid var(--accent); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
tbody tr:hover { background: #f6f8fa; }
tbody + tbody { border-top: 1px solid var(--line); }
tr.group th { text-align: left; font-style: italic; font-weight: 400; padding-top: .5rem; }
.answer { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1rem 2.5rem; align-items: start; margin: 1.25rem 0; }
.answer p { margin: 0 0 .7rem; } .answer div p:first-child { font-size: 1.2rem; font-weight: 600; }
figure { margin: 0; } figure img { max-width: 100%; height: auto; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
  gap: 1rem 2rem; align-items: start; }
.figures section { min-width: 0; } .wide { grid-column: 1 / -1; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .85rem; }
dd { margin: 0; overflow-wrap: anywhere; }
@media print { nav { display: none; } .scroll { overflow: visible; } }
"""

_SCRIPT = """
document.querySelectorAll("table").forEach(table => {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const number = head.dataset.numeric === "yes";
    const order = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (!number) return down ? x.localeCompare(y) : y.localeCompare(x);
      if (x === "" || y === "") return (x === "") - (y === "");
      return down ? y - x : x - y;
    };
    table.querySelectorAll("tbody").forEach(body =>
      [...body.querySelectorAll("tr:not(.group)")].sort(order).forEach(row => body.append(row)));
  }));
});
"""


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
        f"<h1>{title}</h1>",
        f'<p class="question">{html.escape(str(study.get("question", "")))}</p>',
        _answer(answer, drawn),
        f"<nav>{''.join(links)}</nav>",
        _interactive(bundle.folder.name),
        *[_table_section(table) for table in tables],
        _evidence(proof),
        _figures(drawn, skipped),
        _listening(bundle.folder / "audio"),
        _provenance(bundle),
    ]
    body = "\n".join(parts)
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{title}</title><style>{_STYLE}</style></head>\n'
        f"<body>\n{body}\n<script>{_SCRIPT}</script>\n</body></html>\n"
    )
    evidence = to_page(bundle, proof).encode()
    store(bundle, path.parent / "tables" / "evidence.md", evidence)
    store(bundle, path, text.encode())


def _answer(answer: list[str], drawn: dict[str, Path]) -> str:
    """The answer in sentences, and beside it the figure that shows it best."""
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
    """Where the same runs can be filtered, brushed and listened to."""
    command = html.escape(f"python run_all.py ui --study {shlex.quote(study)}")
    return (
        f'<p class="caption">To filter and brush these runs, start '
        f"<code>{command}</code> and open a view of "
        'the <a href="http://127.0.0.1:5000/#/experiments">MLflow UI</a>: placements, '
        "expert mode, quality against cost.</p>"
    )


def _evidence(proof: list[Section]) -> str:
    """Each finding with what speaks for and against it; the numbers open on a click."""
    if not proof:
        return ""
    parts = [f'<h2 id="evidence">Evidence</h2><p class="caption">{html.escape(INTRODUCTION)}</p>']
    for section in proof:
        said = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in section.sentences)
        lists = "".join(
            f"<dt>{html.escape(heading)}</dt><dd>{'<br>'.join(map(html.escape, items)) or '–'}</dd>"
            for heading, items in section.lists.items()
        )
        tables = "".join(_table_section(table) for table in section.tables)
        parts.append(
            f"<section><h3>{html.escape(section.title)}</h3>{said}"
            f"{f'<dl>{lists}</dl>' if lists else ''}"
            f"<details><summary>Numbers</summary>{tables}</details></section>"
        )
    return "".join(parts)


def _table_section(table: Table) -> str:
    head = "".join(
        f'<th scope="col"{"" if c.numeric else " class=text"} '
        f'data-numeric="{"yes" if c.numeric else "no"}"><button type="button">'
        f"{html.escape(c.header)}</button></th>"
        for c in table.columns
    )
    bodies = []
    for group in table.groups():
        rows = [r.values for r in table.rows if r.group == group]
        heading = (
            f'<tr class="group"><th colspan="{len(table.columns)}">{html.escape(group)}</th></tr>'
            if group
            else ""
        )
        lines = "\n".join(
            f"<tr>{''.join(_cell(v, c.numeric) for v, c in zip(row, table.columns, strict=True))}"
            "</tr>"
            for row in rows
        )
        bodies.append(f"<tbody>{heading}{lines}</tbody>")
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in table.notes)
    return (
        f'<section id="{table.name}"><h2>{html.escape(table.title)}</h2>'
        f'<p class="caption">{html.escape(table.caption)}</p><div class="scroll"><table>'
        f"<thead><tr>{head}</tr></thead>{''.join(bodies)}</table></div>"
        f'<div class="notes">{notes}</div></section>'
    )


def _cell(value: Value, numeric: bool) -> str:
    kind = "" if numeric else " class=text"
    if not isinstance(value, Entry):
        plain = value.replace("<", "").strip()
        key = plain if plain.replace(".", "", 1).isdigit() else ""
        return f'<td{kind} data-value="{key}">{html.escape(value)}</td>' if numeric else (
            f"<td{kind}>{html.escape(value)}</td>"
        )  # fmt: skip
    key = "" if np.isnan(value.value) else f"{value.value:.6g}"
    text = html.escape(str(value))
    return f'<td{kind} data-value="{key}">{f"<b>{text}</b>" if value.bold else text}</td>'


def _figures(drawn: dict[str, Path], skipped: dict[str, str]) -> str:
    sections = []
    for name, (title, _) in all_figures().items():
        if name == _decisive(drawn):
            continue  # it heads the page
        if name in drawn:
            content = _figure(name, drawn[name])
            wide = " class=wide" if _width(drawn[name].read_bytes()) > 1100 else ""
        else:
            content, wide = f'<p class="caption">Not drawn: {html.escape(skipped[name])}.</p>', ""
        sections.append(f"<section{wide}><h2>{html.escape(title)}</h2>{content}</section>")
    return f'<div id="figures" class="figures">{"".join(sections)}</div>'


def _listening(folder: Path) -> str:
    """Players for the triplets of one utterance per condition; nothing where none are stored."""
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
    runs = bundle.runs
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
