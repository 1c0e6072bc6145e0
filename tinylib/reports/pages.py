"""Executed notebooks and the index as HTML pages that need no script, font or style from elsewhere."""

from __future__ import annotations

import html
import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinylib.datasets.sources import is_synthetic
from tinylib.errors import TinylibError
from tinylib.files import BEFORE, Json
from tinylib.reports import folders
from tinylib.results.paper_files import planned
from tinylib.results.rows import KEY

if TYPE_CHECKING:
    from tinylib.reports.status import Status

SYNTHETIC = "Data: SynthVIRAT, a synthetic benchmark. Compare orderings and gaps with the papers, not values."
SHOWN = 6  # headline numbers a notebook on the index
FEW = 3  # and, where the headline metric has fewer, this many with those that follow
HEADLINES = (  # what a notebook is about is the first of these that it measured
    "F1", "Prec@1", "accuracy", "top-1", "PSNR gain over bicubic (dB)", "pointing game", "mAP", "clips", "NV",
    "orderings that hold",
)  # fmt: skip
START = "12_papers_vs_ours"
SCROLLS = 'tabindex="0" role="group" aria-label="output"'  # what is wider than the page is reached by keyboard too


def banner(data: str) -> str:
    """What a reader must know of the data the numbers are from; '' for the papers' own."""
    return SYNTHETIC if is_synthetic(data) else ""


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _template(name: str) -> Any:
    from jinja2 import Environment

    return Environment(autoescape=True, trim_blocks=True).from_string(_asset(name))


def _page(title: str, body: str, **more: object) -> str:
    from pygments.formatters import HtmlFormatter

    css = _asset("report.css") + HtmlFormatter(style="xcode").get_style_defs(".highlight")
    return str(_template("report_page.html").render(title=title, css=css, body=body, **more))


def notebook_page(executed: Path, status: Status, others: Collection[str] = ()) -> str:
    """One notebook: prose, pictures and viewers in reading order, code folded away under its first line.

    others: notebooks that have a page beside this one; where a table names them they become links.
    """
    import nbformat

    book = nbformat.read(executed, as_version=4)
    parts = []
    for cell in book.cells:
        if any(tag.startswith("papermill-error") for tag in cell.metadata.get("tags", [])):
            continue  # our own banner says it
        if cell.cell_type == "markdown":
            parts.append(_markdown(cell.source))
        elif cell.cell_type == "code" and cell.source.strip():
            shown = "".join(_output(output) for output in _joined(cell.outputs))
            name = "parameters" if "parameters" in cell.metadata.get("tags", []) else ""
            parts.append(_code(cell.source, name) + NOTEBOOK.sub(lambda match: _linked(match, others), shown))
    headings = re.findall(r'<h2 id="([^"]+)">(.*?)<a class="anchor-link"', "".join(parts), re.DOTALL)
    links = "".join(f'<a href="#{anchor}">{text}</a>' for anchor, text in headings)
    body = "\n".join([*parts[:1], f'<nav class="contents">{links}</nav>' if links else "", *parts[1:]])
    facts = [f"profile {status.profile}", f"data {status.data}", f"{_time(status.seconds)} on {status.hardware}"]
    facts += [status.began[:10]] + ([f"commit {status.commit}"] if status.commit else [])
    return _page(
        status.title or status.name, body, back=True, facts=facts, error=status.error, banner=banner(status.data)
    )


LOG = 12  # more printed lines than these are folded away
NOTEBOOK = re.compile(r"(?<=>)\d\d_\w+(?=</td>)")


def _linked(match: re.Match[str], others: Collection[str]) -> str:
    return f'<a href="{match[0]}.html">{match[0]}</a>' if match[0] in others else match[0]


def index_page(out: Path, statuses: Sequence[Status]) -> str:
    """All notebooks: what became of each, how long it took and where, its headline numbers with their intervals."""
    statuses = sorted(statuses, key=lambda status: status.name)
    rows = []
    for status in statuses:
        plan = planned().get(status.name)
        rows_of_it = _rows(out / "runs" / status.name / "results.jsonl")
        groups, more = headlines(rows_of_it, (*(plan.headline if plan else ()), *HEADLINES))
        page = (out / f"{status.name}.html").exists()
        row: Json = {
            "name": status.name,
            "title": status.title or status.name,
            "state": status.state,
            "error": status.error,
        }
        row |= {"time": _time(status.seconds) if status.state != "not run" else "", "page": page}
        row |= {"hardware": status.hardware, "commit": status.commit, "began": status.began[:10]}
        rows.append(row | {"groups": groups, "more": more})
    wrong = [status.name for status in statuses if status.state in ("failed", "not run")]
    running = [status.name for status in statuses if status.state == "running"]
    start = next((row for row in rows if row["name"] == START and row["page"]), None)
    done = sum(status.state == "done" for status in statuses)
    facts = [
        ("notebooks", f"{done} of {len(statuses)} done, {_time(sum(s.seconds for s in statuses))} of computing"),
        ("profile", _distinct(s.profile for s in statuses)),
        ("data", _distinct(s.data for s in statuses)),
        ("hardware", _distinct(s.hardware for s in statuses)),
        ("commit", _distinct(s.commit for s in statuses)),
        ("disk", _disk(out)),
        ("last run", max((s.began for s in statuses), default="").replace("T", " ")[:16]),
    ]
    said = [(name, value) for name, value in facts if value]
    body = _template("report_index.html").render(
        rows=rows, facts=said, wrong=wrong, running=running, start=start, **_glance(out)
    )
    banners = {banner(status.data) for status in statuses} - {""}
    return _page("tinylib: reports", str(body), facts=[], banner=" ".join(banners))


def _glance(out: Path) -> Json:
    """The index' first figure and the table under it: what the papers claim, and what became of it here."""
    from tinylib import figures
    from tinylib.results import comparison

    try:
        runs = comparison.collect([out / "runs"])
        known, gaps = comparison.known_for(runs), comparison.gaps(runs)
    except TinylibError as error:
        return {"glance": "", "trouble": str(error), "claims": [], "summary": ""}
    picture = b64encode(figures.png(figures.headline(known, gaps))).decode() if len(gaps) else ""
    claims = known.to_dict("records")
    for claim in claims:
        claim["theirs"] = f"{claim['their gain']:+.1f}"
        claim["ours"] = _spelled(claim["our gain"], claim["low"], claim["high"])
        claim["verdict"] = VERDICTS[claim["held"]]
        claim["page"] = bool(claim["notebook"]) and (out / f"{claim['notebook']}.html").exists()
    return {"glance": picture, "trouble": "", "claims": claims, "summary": comparison.summary(gaps)}


VERDICTS = {"yes": "holds", "no": "is reversed", "open": "open", "": "not measured"}


def _spelled(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:+.1f}" + ("" if math.isnan(low) else f" [{low:+.1f}, {high:+.1f}]")


def _disk(out: Path) -> str:
    """How large the folder is, and what of it is kept of runs that are out of date."""
    old = sum(folders.size(folder) for folder in (out / "runs").glob(f"*{BEFORE}*"))
    aside = f", of which {folders.spelled(old)} are earlier runs set aside (runs/NAME{BEFORE}DATE)" if old else ""
    return folders.spelled(folders.size(out)) + aside


def _distinct(values: Any) -> str:
    return ", ".join(sorted({value for value in values if value}))


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _rows(results: Path) -> list[Json]:
    """The last of each key; lines that are none are left to `results.load`, which names them."""
    if not results.exists():
        return []
    latest: dict[tuple[object, ...], Json] = {}
    for line in results.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
            latest[tuple(row.get(name) for name in KEY)] = row | {"metric": row["metric"], "value": row["value"]}
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return list(latest.values())


def headlines(rows: Sequence[Json], metrics: Sequence[str] = HEADLINES) -> tuple[list[Json], int]:
    """The rows an index shows, under what they share (table, metric, input), and how many it leaves out.

    Those of the first of `metrics` that was measured, the papers' tables first; a number that stands in two tables is
    shown once.
    """
    rank = min((_rank(row["metric"], metrics) for row in rows), default=0)
    places = list(dict.fromkeys((row.get("paper"), row.get("ref")) for row in rows))
    places.sort(key=lambda place: place[0] == "ours")
    chosen: list[Json] = []
    for place in places:
        above = {_number(row) for row in chosen}
        mine = [
            row for row in rows if (row.get("paper"), row.get("ref")) == place and _rank(row["metric"], metrics) == rank
        ]
        chosen += [row for row in mine if _number(row) not in above]
    chosen = chosen[:SHOWN]
    chosen += [row for row in rows if row not in chosen][: FEW - len(chosen)] if len(chosen) < FEW else []
    groups: dict[str, list[dict[str, str]]] = {}
    for row in chosen:
        where = " ".join(part for part in (row.get("paper", ""), row.get("ref", "")) if part not in ("", "ours"))
        shared = ", ".join(part for part in (where, row["metric"], row.get("input", "")) if part)
        interval = f"[{_short(row['low'])}, {_short(row['high'])}]" if row.get("low") is not None else ""
        groups.setdefault(shared, []).append({"row": row["row"], "value": _short(row["value"]), "interval": interval})
    return [{"shared": shared, "rows": of} for shared, of in groups.items()], len(rows) - len(chosen)


def _number(row: Mapping[str, object]) -> tuple[object, ...]:
    return row["value"], row.get("low"), row.get("high")


def _rank(metric: str, metrics: Sequence[str]) -> int:
    """Place among the headlines; a metric may name its dataset first ('HMDB-51 accuracy')."""
    return next((i for i, name in enumerate(metrics) if metric == name or metric.endswith(f" {name}")), len(metrics))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def _markdown(source: str) -> str:
    from nbconvert.filters import markdown2html

    return str(markdown2html(source)).replace("¶", "")


def _code(source: str, name: str = "") -> str:
    from nbconvert.filters import Highlight2HTML

    first = source.strip().splitlines()[0]
    summary = name or (first.lstrip("# ") if first.startswith("#") else "code")
    return f'<details class="code"><summary>{html.escape(summary)}</summary>{Highlight2HTML()(source)}</details>'


def _joined(outputs: Iterable[Any]) -> list[object]:
    """The outputs of a cell, lines that were printed one after another as one of them."""
    from nbformat.v4 import new_output

    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and last.output_type == output.output_type == "stream" and last.name == output.name:
            joined[-1] = new_output("stream", name=output.name, text=last.text + output.text)
        else:
            joined.append(output)
    return joined


TABLE = re.compile(r'<table id="T_.*?</table>', re.DOTALL)  # as pandas' Styler writes it
CELL = re.compile(r"(<(t[dh]|caption)\b[^>]*>)(.*?)(?=</\2>)", re.DOTALL)


def _tables_of_text(page: str) -> str:
    """A styled table with its cells as text: Styler puts names from files into the page as they are."""

    def text(cell: re.Match[str]) -> str:
        return cell[1] + html.escape(html.unescape(cell[3]), quote=False)

    return TABLE.sub(lambda table: CELL.sub(text, table[0]), page)


def _picture(png: bytes) -> str:
    """A picture as a data URL: WebP without loss where that is smaller, the same pixels in about two thirds the bytes.

    What is damaged stays as it is.
    """
    from PIL import Image, UnidentifiedImageError

    data = BytesIO()
    try:
        Image.open(BytesIO(png)).save(data, format="webp", lossless=True, method=4)
    except (UnidentifiedImageError, OSError):
        data.write(png)
    webp = data.getvalue()
    kind, best = ("webp", webp) if len(webp) < len(png) else ("png", png)
    return f"data:image/{kind};base64,{b64encode(best).decode()}"


def _output(output: Any) -> str:
    """The richest form that stands by itself; what only a live kernel could show is left out."""
    from nbconvert.filters import ansi2html

    if output.output_type == "stream":
        text, lines = f"<pre>{ansi2html(output.text)}</pre>", len(output.text.splitlines())
        if lines > LOG:
            return f'<details class="code"><summary>{lines} lines of log</summary>{text}</details>'
        return f'<div class="output" {SCROLLS}>{text}</div>'
    if output.output_type == "error":
        return (
            f'<div class="output" {SCROLLS}><pre class="error">{ansi2html(chr(10).join(output.traceback))}</pre></div>'
        )
    data = output.data
    if "application/vnd.jupyter.widget-view+json" in data:
        return ""
    if "text/html" in data:
        inner = _tables_of_text(data["text/html"])
    elif "image/svg+xml" in data:
        inner = data["image/svg+xml"]
    elif "image/png" in data:
        inner = f'<img alt="figure" src="{_picture(b64decode(data["image/png"]))}">'
    elif "text/markdown" in data:
        inner = _markdown(data["text/markdown"])
    else:
        inner = f"<pre>{html.escape(data.get('text/plain', ''))}</pre>"
    return f'<div class="output" {SCROLLS}>{inner}</div>'
