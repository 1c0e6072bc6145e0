"""The site's pages: the tree's own documents at their own paths, a page a paper, a page a room."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", "data/README.md", "reports/README.md")
FOLDERS = ("reports/studies", "tinylib/weights")
REPORT = "reports/demo"
SHIM = re.compile(r'https://[^"]+/iframe-worker/shim')  # what the theme's plugin `offline` writes
SOURCE = re.compile(r"\]\(((?:\.\./)*)tinylib/(\w+)/[\w/]+\.py\)")
SHOWN = (".md", ".png", ".svg", ".pdf", ".csv", ".jsonl")


def documents() -> list[str]:
    """Paths of what the site shows as it is; pictures and studies lie where the documents say."""
    every = [name for name in DOCUMENTS if (ROOT / name).is_file()] + [p.name for p in ROOT.glob("LICENSE")]
    every += [f"reports/{path.name}" for path in (ROOT / "reports").glob("*.png")]
    for folder in FOLDERS:
        files = (path for path in (ROOT / folder).rglob("*") if path.suffix in SHOWN)
        every += [path.relative_to(ROOT).as_posix() for path in files]
    return sorted(every)


def notebooks() -> dict[str, str]:
    """Each as a page: words and code; its outputs are in the report, which `make reports` writes."""
    from nbconvert import MarkdownExporter

    export = MarkdownExporter()
    every = sorted((ROOT / "notebooks").glob("*.ipynb"))
    pages = {f"notebooks/{path.stem}.md": export.from_filename(str(path))[0] for path in every}
    lines = ["# The notebooks", ""]
    for name, text in pages.items():
        lines.append(f"- [{text.lstrip().splitlines()[0].lstrip('# ')}]({Path(name).name})")
    return pages | {"notebooks/README.md": "\n".join(lines) + "\n"}


def papers() -> dict[str, str]:
    """Of each paper what it says, where that is run, and its tables with ours beside them."""
    from tinylib import results

    runs = sorted(path for path in (ROOT / "reports").glob("*/runs") if path.is_dir())
    pages, lines = {}, ["# The papers", ""]
    for paper in results.papers():
        if not paper.sections["results"]:
            continue
        lines.append(f"- [{paper.title}]({paper.name}.md)")
        page = [
            f"# {paper.title}",
            "",
            f"```bibtex\n{paper.bibtex}```" if paper.bibtex else "",
            "",
            "## What it is known for",
            "",
        ]
        page += [f"- {claim['ref']}: {claim['says']}" for claim in paper.sections["claims"]]
        page += ["", "## Where it is run", ""]
        page += [f"- [{name}](../notebooks/{name}.md)" for name in paper.notebooks]
        for table in paper.sections["tables"]:
            page += [
                "",
                f"## {table['ref']}: {table['shows']}",
                "",
                results.typeset(paper.name, table["ref"], runs),
                "",
            ]
            page += [f"- {remark}" for remark in results.comparison.remarks(paper.name, table["ref"])]
        pages[f"papers/{paper.name}.md"] = "\n".join(page) + "\n"
    pages["papers/README.md"] = "\n".join(lines) + "\n"
    return pages


def rooms() -> dict[str, str]:
    """Of each room of the package the public names that its stub lists, with their documentation."""
    pages, lines = (
        {},
        ["# API", "", "A page a room. Which builds on which is in [CONTRIBUTING](../CONTRIBUTING.md).", ""],
    )
    for face in sorted((ROOT / "tinylib").glob("*/__init__.py")):
        room = face.parent.name
        said = ast.get_docstring(ast.parse(face.read_text(encoding="utf-8"))) or ""
        stub = face.with_suffix(".pyi") if face.with_suffix(".pyi").exists() else face
        page = [f"# tinylib.{room}", "", said, ""]
        for node in ast.parse(stub.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module != "lazy_loader" and node.module != "__future__":
                module = (node.module or "").removeprefix(f"tinylib.{room}").strip(".")
                whole = f"tinylib.{room}.{module}".rstrip(".")
                page += [f"::: {whole}.{alias.name}\n" for alias in node.names]
        lines.append(f"- [`tinylib.{room}`]({room}.md): {said.splitlines()[0]}")
        pages[f"api/{room}.md"] = "\n".join(page)
    pages["api/README.md"] = "\n".join(lines) + "\n"
    return pages


@event_priority(100)
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Before any plugin looks: everything that the site shows."""
    for name in documents():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for name, text in {**notebooks(), **papers(), **rooms()}.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The lists of notebooks, papers and rooms in the navigation."""
    lists = {
        "Notebooks": sorted(notebooks()),
        "Papers": sorted(papers()),
        "API": sorted(rooms()),
    }
    for line in config.nav or []:
        for title in line:
            if title in lists:
                line[title] = lists[title]
    return config


def on_page_markdown(markdown: str, **_: object) -> str:
    """A link to a file of the package leads to the page of its room."""
    return SOURCE.sub(r"](\1api/\2.md)", markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """In every page, templates' too: the theme's one address elsewhere gives way to our copy of that script."""
    site = Path(config.site_dir)
    for file in site.rglob("*.html"):
        text = file.read_text(encoding="utf-8")
        near = "../" * len(file.relative_to(site).parent.parts) + "iframe-worker.js"
        file.write_text(SHIM.sub(near, text), encoding="utf-8")
    for page in (ROOT / REPORT).glob("*.html"):  # whole pages already, not the theme's; notebooks have pages here
        (site / REPORT).mkdir(parents=True, exist_ok=True)
        text = re.sub(r'(href="[^"]*notebooks/\w+)\.ipynb"', r'\1.html"', page.read_text(encoding="utf-8"))
        (site / REPORT / page.name).write_text(text, encoding="utf-8")
