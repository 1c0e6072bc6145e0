"""Executed notebooks and the index as HTML pages that need no script, font or style from elsewhere."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinylib.reports import Status

SYNTHETIC = "Data: SynthVIRAT, a synthetic benchmark. Compare orderings and gaps with the papers, not values."
SHOWN = 6  # key numbers a notebook on the index


def banner(data: str) -> str:
    """What a reader must know of the data the numbers are from; '' for the papers' own."""
    return SYNTHETIC if data.startswith("synthvirat") else ""


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _template(name: str) -> Any:
    from jinja2 import Environment

    return Environment(autoescape=True, trim_blocks=True).from_string(_asset(name))


def _page(title: str, body: str, **more: Any) -> str:
    from pygments.formatters import HtmlFormatter

    css = _asset("report.css") + HtmlFormatter(style="friendly").get_style_defs(".highlight")
    return str(_template("report_page.html").render(title=title, css=css, body=body, **more))


def notebook_page(executed: Path, status: Status) -> str:
    """One notebook: prose, pictures and viewers in reading order, code folded away under its first line."""
    import nbformat

    book = nbformat.read(executed, as_version=4)
    parts = []
    for cell in book.cells:
        if any(tag.startswith("papermill-error") for tag in cell.metadata.get("tags", [])):
            continue  # our own banner says it
        if cell.cell_type == "markdown":
            parts.append(_markdown(cell.source))
        elif cell.cell_type == "code" and cell.source.strip():
            parts.append(_code(cell.source) + "".join(_output(output) for output in cell.outputs))
    headings = re.findall(r'<h2 id="([^"]+)">(.*?)<a class="anchor-link"', "".join(parts), re.DOTALL)
    links = "".join(f'<a href="#{anchor}">{text}</a>' for anchor, text in headings)
    body = "\n".join([*parts[:1], f'<nav class="contents">{links}</nav>' if links else "", *parts[1:]])
    facts = [f"profile {status.profile}", f"data {status.data}", f"{_time(status.seconds)} on {status.hardware}"]
    facts += [status.began[:10]] + ([f"commit {status.commit}"] if status.commit else [])
    return _page(status.title, body, back=True, facts=facts, error=status.error, banner=banner(status.data))


def index_page(out: Path, statuses: Sequence[Status]) -> str:
    """All notebooks: what became of each, how long it took, its first numbers with their intervals."""
    statuses = sorted(statuses, key=lambda status: status.name)
    rows = []
    for status in statuses:
        numbers = _numbers(out / "runs" / status.name / "results.jsonl")
        page = (out / f"{status.name}.html").exists()
        row: dict[str, Any] = {
            "name": status.name,
            "title": status.title or status.name,
            "state": status.state,
            "error": status.error,
        }
        row |= {"time": _time(status.seconds) if status.state != "not run" else "", "page": page}
        rows.append(row | {"numbers": numbers[:SHOWN], "more": max(0, len(numbers) - SHOWN)})
    done = sum(status.state == "done" for status in statuses)
    facts = [
        ("notebooks", f"{done} of {len(statuses)} done, {_time(sum(s.seconds for s in statuses))} of computing"),
        ("profile", _distinct(s.profile for s in statuses)),
        ("data", _distinct(s.data for s in statuses)),
        ("hardware", _distinct(s.hardware for s in statuses)),
        ("commit", _distinct(s.commit for s in statuses)),
        ("last run", max((s.began for s in statuses), default="").replace("T", " ")[:16]),
    ]
    body = _template("report_index.html").render(rows=rows, facts=[(name, value) for name, value in facts if value])
    banners = {banner(status.data) for status in statuses} - {""}
    return _page("tinylib: reports", str(body), facts=[], banner=" ".join(banners))


def _distinct(values: Any) -> str:
    return ", ".join(sorted({value for value in values if value}))


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _numbers(results: Path) -> list[dict[str, str]]:
    if not results.exists():
        return []
    rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [
        {
            "what": f"{row['row']}, {row['metric']}" + (f" ({row['input']})" if row.get("input") else ""),
            "value": _short(row["value"]),
            "interval": f"[{_short(row['low'])}, {_short(row['high'])}]" if row.get("low") is not None else "",
        }
        for row in rows
    ]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)


def _markdown(source: str) -> str:
    from nbconvert.filters import markdown2html

    return str(markdown2html(source)).replace("¶", "")


def _code(source: str) -> str:
    from nbconvert.filters import Highlight2HTML

    first = source.strip().splitlines()[0]
    summary = first.lstrip("# ") if first.startswith("#") else "code"
    return f'<details class="code"><summary>{html.escape(summary)}</summary>{Highlight2HTML()(source)}</details>'


def _output(output: Any) -> str:
    """The richest form that stands by itself; what only a live kernel could show is left out."""
    from nbconvert.filters import ansi2html

    if output.output_type == "stream":
        return f'<div class="output"><pre>{ansi2html(output.text)}</pre></div>'
    if output.output_type == "error":
        return f'<div class="output"><pre class="error">{ansi2html(chr(10).join(output.traceback))}</pre></div>'
    data = output.data
    if "application/vnd.jupyter.widget-view+json" in data:
        return ""
    if "text/html" in data:
        inner = data["text/html"]
    elif "image/svg+xml" in data:
        inner = data["image/svg+xml"]
    elif "image/png" in data:
        inner = f'<img alt="figure" src="data:image/png;base64,{data["image/png"].replace(chr(10), "")}">'
    elif "text/markdown" in data:
        inner = _markdown(data["text/markdown"])
    else:
        inner = f"<pre>{html.escape(data.get('text/plain', ''))}</pre>"
    return f'<div class="output">{inner}</div>'
