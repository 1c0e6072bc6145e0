"""The report's pages by axe in a real browser: contrast, labels, keyboard; on a phone, in the dark and on paper."""

import nbformat
import pytest

from tests.viewers.test_clips import viewers
from tinylib import reports, results
from tinylib.reports import pages
from tinylib.training import run_folder

SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A page with code, text, a wide table, an error and every viewer, and an index with results and a failure."""
    folder = tmp_path_factory.mktemp("report")
    run_folder.write_log(folder, [{"epoch": n, "loss": 1 / (n + 1)} for n in range(3)])
    log = folder / "log.jsonl"
    cells = [nbformat.v4.new_markdown_cell("# Title\n\nWords and `code`, and a [link](index.html).\n\n## Part")]
    wide = results.shown(results.table("stat", "Table 2", [])).to_html()
    outputs = [nbformat.v4.new_output("display_data", data={"text/html": wide})]
    outputs += [
        nbformat.v4.new_output("display_data", data={"text/html": one._repr_html_()}) for one in viewers(log).values()
    ]
    outputs += [nbformat.v4.new_output("stream", name="stdout", text="a line " * 60)]
    outputs += [nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=["ValueError: no"])]
    code = "# a comment\nfor name, value in {'a': 1.5}.items():\n    print(f'{name}', value, len(name), None)"
    cells += [nbformat.v4.new_code_cell(code, outputs=outputs)]
    book = nbformat.v4.new_notebook(cells=cells)
    nbformat.write(book, folder / "n.ipynb")
    failed = reports.Status("02_dataset_statistics", "failed", error="DataError: no such file " * 8)
    page = pages.notebook_page(folder / "n.ipynb", reports.Status("n", "done", data="synthvirat"))
    (folder / "page.html").write_text(page, encoding="utf-8")
    row = {"paper": "tinyvirat", "ref": "Table II", "input": "native", "metric": "F1", "profile": "demo", "seeds": 3}
    row |= {"data": "synthvirat", "commit": "abc", "device": "CPU", "row": "I3D", "value": 0.3, "low": 0.2, "high": 0.4}
    results.record(folder / "runs/05_foreground_attention", [results.Row(**row)])
    index = pages.index_page(folder, [reports.Status("05_foreground_attention", "done"), failed])
    (folder / "index.html").write_text(index, encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["page", "index"])
def test_axe_finds_nothing_wrong_and_a_phone_need_not_scroll_sideways(chromium, report, name, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    context = chromium.new_context(color_scheme=scheme, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto((report / f"{name}.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    page.wait_for_timeout(300)
    wrong = axe.Axe().run(page).response["violations"]
    minor = ("empty-table-header",)  # pandas' corner cell
    assert [(one["id"], one["nodes"][0]["html"][:200]) for one in wrong if one["id"] not in minor] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


@pytest.mark.slow
def test_axe_would_see_what_is_wrong(chromium, report):
    """The check can fail: grey on white, and a picture without words."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = chromium.new_page()
    page.set_content(
        "<html lang=en><title>t</title><main><h1>t</h1><p style='color:#ccc'>pale</p><img src=x></main></html>"
    )
    assert {one["id"] for one in axe.Axe().run(page).response["violations"]} >= {"color-contrast", "image-alt"}
    page.close()


@pytest.mark.slow
def test_paper_has_words_and_tables_but_no_code(chromium, report):
    page = chromium.new_page(color_scheme="dark")
    page.goto((report / "page.html").as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    look = "name => getComputedStyle(document.querySelector(name))"
    assert page.evaluate(f"({look})('details.code').display") == "none"
    assert page.evaluate(f"({look})('body').backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(f"({look})('.output').overflow") == "visible"
    page.close()
