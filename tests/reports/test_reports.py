import json

import nbformat
import pytest

from tinylib import reports
from tinylib.errors import UsageError
from tinylib.reports import pages

PARAMETERS = "profile: str = 'smoke'\nrun_dir: str = 'runs/x'\nscale: int = 4\nsize: float | None = None"


def write(folder, name, *code):
    new = nbformat.v4
    parameters = new.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    cells = [new.new_markdown_cell(f"# Title of {name}\n\nWhy.\n\n## Part one"), parameters]
    cells += [new.new_code_cell(source) for source in code]
    nbformat.write(new.new_notebook(cells=cells), folder / f"{name}.ipynb")


@pytest.fixture
def graph(monkeypatch):
    monkeypatch.setattr(reports, "AFTER", {"02_b": ("01_a",), "03_c": ("02_b",), "05_e": ("*",)})


def plan(folder, only=(), **parameters):
    return reports.plan(folder, "smoke", only, folder / "out", parameters, force=False, remote=False)


def test_the_graph_orders_the_notebooks(tmp_path, graph):
    for name in ("05_e", "03_c", "02_b", "01_a"):
        write(tmp_path, name)
    order = list(plan(tmp_path))
    assert order.index("01_a") < order.index("02_b") < order.index("03_c") < order.index("05_e")
    assert list(plan(tmp_path, ["3"])) == ["03_c"]
    assert reports.before_of("05_e", order) == [name for name in order if name != "05_e"]
    assert reports.before_of("03_c", ["01_a", "03_c"]) == []


@pytest.mark.parametrize(
    ("only", "parameters", "says"),
    [
        ((), {"scael": 8}, r"no parameter 'scael'; it has: .*scale \(int\), size \(float \| None\)"),
        ((), {"scale": "8"}, "scale must be int, got '8'"),
        ((), {"scale": 2.5}, "scale must be int, got 2.5"),
        (("7",), {}, "--only 7: no such notebook; there are 01_a"),
    ],
)
def test_wrong_calls_stop_before_anything_runs(tmp_path, only, parameters, says):
    write(tmp_path, "01_a", "raise SystemError")
    with pytest.raises(UsageError, match=says):
        reports.run(tmp_path, "smoke", only, tmp_path / "out", None, parameters)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="no notebooks here"):
        reports.run(tmp_path / "out", "smoke", out=tmp_path / "out")


def test_a_change_of_source_parameters_or_a_notebook_before_changes_the_fingerprint(tmp_path, graph):
    write(tmp_path, "01_a", "1")
    write(tmp_path, "02_b", "2")
    base, other = plan(tmp_path), plan(tmp_path, scale=8)
    assert base["02_b"].fingerprint == plan(tmp_path)["02_b"].fingerprint != other["02_b"].fingerprint
    write(tmp_path, "01_a", "1 + 1")
    assert plan(tmp_path)["02_b"].fingerprint != base["02_b"].fingerprint


RESULT = """import json, os
os.makedirs(run_dir, exist_ok=True)
row = {"row": "I3D", "metric": "F1", "input": "", "value": 0.3125 * scale, "low": 0.25, "high": 0.375}
with open(run_dir + "/results.jsonl", "w") as file:
    _ = file.write(json.dumps(row))
"""
SHOW = "# Show two things\nfrom IPython.display import HTML\nprint('<one>', scale)\nHTML('<b>two</b>')"


@pytest.mark.slow
def test_run_shows_what_was_done_failed_died_and_waited_and_then_resumes(tmp_path, graph, capsys):
    write(tmp_path, "01_a", RESULT, SHOW)
    write(tmp_path, "02_b", "1 / 0", "'never'")
    write(tmp_path, "03_c", "'waits for 02'")
    write(tmp_path, "04_d", "'ran'", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "'never'")
    out = tmp_path / "out"
    states = {
        s.name: s
        for s in reports.run(tmp_path, "smoke", out=out, parameters={"scale": 8, "run_dir": str(out / "runs/01_a")})
    }
    assert {name: s.state for name, s in states.items()} == {
        "01_a": "done",
        "02_b": "failed",
        "03_c": "not run",
        "04_d": "failed",
    }
    assert states["02_b"].error == "ZeroDivisionError: division by zero"
    assert states["03_c"].error == "waits for 02_b"
    assert states["04_d"].error == "the kernel died"
    executed = nbformat.read(out / "notebooks/04_d.ipynb", as_version=4)
    assert executed.cells[-1].metadata.papermill["status"] == "not run"  # papermill says completed

    page = (out / "01_a.html").read_text()
    assert "&lt;one&gt; 8" in page
    assert "<b>two</b>" in page
    assert "<summary>Show two things</summary>" in page
    assert "http://" not in page and "https://" not in page  # noqa: PT018
    index = (out / "index.html").read_text()
    assert "<span>I3D</span> <span><b>2.5</b> [0.25, 0.375]</span>" in index
    assert '<tr id="02_b" class="failed">' in index
    assert 'Not done:</b> <a href="#02_b">02_b</a>' in index
    assert "ZeroDivisionError" in index
    assert "synthetic" in index
    assert json.loads((out / "status/02_b.json").read_text())["state"] == "failed"

    write(tmp_path, "02_b", "'mended'")  # 01 is not run again; 02 and, after it, 03 are
    again = reports.run(
        tmp_path, "smoke", ["01", "02", "03"], out, None, {"scale": 8, "run_dir": str(out / "runs/01_a")}
    )
    assert {s.name: (s.state, s.fresh) for s in again} == {
        "01_a": ("done", False),
        "02_b": ("done", True),
        "03_c": ("done", True),
    }
    assert "01_a: done (already done)" in capsys.readouterr().out
    assert "04_d" in (out / "index.html").read_text()  # what an earlier call did stays on the index


def test_a_notebook_that_hangs_is_stopped_with_its_kernel(tmp_path, monkeypatch):
    import psutil

    write(tmp_path, "01_a", "import time\ntime.sleep(600)")
    monkeypatch.setitem(reports.LIMITS, "smoke", (600, 6))
    (status,) = reports.run(tmp_path, "smoke", out=tmp_path / "out")
    assert (status.state, status.error) == ("failed", "stopped after 6 s")
    mine = psutil.Process().children(recursive=True)
    assert not [p for p in mine if "ipykernel_launcher" in " ".join(p.cmdline())]


def test_an_interrupted_run_keeps_its_folder_and_other_settings_start_afresh(tmp_path, monkeypatch):
    write(tmp_path, "01_a", "1")
    monkeypatch.setattr(reports, "_papermill", lambda job: "stopped")
    kept = tmp_path / "out/runs/01_a/log.jsonl"
    jobs = plan(tmp_path)
    reports.execute(jobs["01_a"])
    kept.parent.mkdir(parents=True)
    kept.write_text("half\n")
    assert reports.execute(jobs["01_a"]).state == "failed"
    assert kept.exists()
    reports.execute(plan(tmp_path, scale=2)["01_a"])
    assert not kept.exists()


def test_long_logs_are_folded_away_and_short_ones_joined(tmp_path):
    def told(*lines):
        return [nbformat.v4.new_output("stream", name="stdout", text=line + "\n") for line in lines]

    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_markdown_cell("# T"),
        nbformat.v4.new_code_cell("short()", outputs=told("one", "two")),
        nbformat.v4.new_code_cell("long()", outputs=told(*(f"epoch {i}" for i in range(1, 41)))),
    ]
    nbformat.write(book, tmp_path / "n.ipynb")
    page = pages.notebook_page(tmp_path / "n.ipynb", reports.Status("n", "done", data="folder"))
    assert '<div class="output"><pre>one\ntwo\n</pre></div>' in page
    assert "<summary>40 lines of log</summary><pre>epoch 1\n" in page


def test_pages_escape_what_they_show(tmp_path):
    book = nbformat.v4.new_notebook()
    output = nbformat.v4.new_output("stream", name="stdout", text="<script>alert(1)</script>")
    figure = nbformat.v4.new_output("display_data", data={"image/png": "AAAA", "text/plain": "<Figure>"})
    live = nbformat.v4.new_output(
        "display_data", data={"application/vnd.jupyter.widget-view+json": {}, "text/plain": "VBox()"}
    )
    book.cells = [
        nbformat.v4.new_markdown_cell("# T"),
        nbformat.v4.new_code_cell("x < 1", outputs=[output, figure, live]),
    ]
    nbformat.write(book, tmp_path / "n.ipynb")
    page = pages.notebook_page(tmp_path / "n.ipynb", reports.Status("n", "failed", error="<b>", data="folder"))
    assert "<script>" not in page
    assert "VBox" not in page
    assert "base64,AAAA" in page
    assert "&lt;b&gt;" in page
    assert pages.SYNTHETIC not in page


def test_what_sums_up_runs_whatever_became_of_the_others_and_again_when_one_has_run(tmp_path, graph, monkeypatch):
    for name in ("01_a", "02_b", "05_e"):
        write(tmp_path, name, "1")
    ran = []

    def pretend(job):
        ran.append(job.name)
        (job.out / f"{job.name}.html").write_text("")
        return "ValueError: broken" if job.name == "01_a" and len(ran) == 1 else ""

    def call(*only):
        done: dict[str, reports.Status] = {}
        jobs = plan(tmp_path, only)
        for name, job in jobs.items():
            done[name] = reports.execute(job, *[done[b] for b in reports.before_of(name, jobs)])
        return {name: status.state for name, status in done.items()}

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(reports, "_papermill", pretend)
    assert call() == {"01_a": "failed", "02_b": "not run", "05_e": "done"}
    assert call() == {"01_a": "done", "02_b": "done", "05_e": "done"}
    assert ran == ["01_a", "05_e", "01_a", "02_b", "05_e"]
    assert set(call().values()) == {"done"}
    assert set(call("05").values()) == {"done"}
    assert len(ran) == 5  # nothing was new
    write(tmp_path, "02_b", "2")
    assert plan(tmp_path, ["05"])["05_e"].fingerprint == plan(tmp_path, ["01", "05"])["05_e"].fingerprint
    call("02")
    call("05")
    assert ran[5:] == ["02_b", "05_e"]  # the summary knows that what it sums up has changed


def result(metric, value, row="x", **more):
    return {"paper": "ours", "ref": "r", "row": row, "input": "", "metric": metric, "value": value} | more


def test_headlines_are_of_one_metric_the_papers_tables_first_and_each_number_once():
    rows = [result("mAP", 0.9), result("F1", 0.5, "ours alone"), result("Recall", 0.1)]
    rows += [result("F1", 0.1 * i, f"row {i}", paper="stat", ref="Table 1", low=0.0, high=1.0) for i in range(4)]
    rows += [result("F1", 0.1, "again", paper="stat", ref="Table 2", low=0.0, high=1.0)]
    groups, more = pages.headlines(rows)
    assert [(g["shared"], [r["row"] for r in g["rows"]]) for g in groups] == [
        ("stat Table 1, F1", ["row 0", "row 1", "row 2", "row 3"]),
        ("r, F1", ["ours alone"]),
    ]
    assert more == 3
    few, more = pages.headlines([result("clips", 4), result("mean frames", 9), result("z", 1), result("y", 2)])
    assert [g["shared"] for g in few] == ["r, clips", "r, mean frames", "r, z"]
    assert more == 1
    named, _ = pages.headlines([result("SSIM", 0.9), result("HMDB-51 accuracy", 0.3)])
    assert named[0]["shared"] == "r, HMDB-51 accuracy"
    assert pages.headlines([]) == ([], 0)


def test_tables_link_to_the_pages_beside_them(tmp_path):
    table = "<table><tr><td>03_baselines</td><td>04_x</td></tr></table>"
    book = nbformat.v4.new_notebook()
    output = nbformat.v4.new_output("display_data", data={"text/html": table})
    parameters = nbformat.v4.new_code_cell("profile: str = 'smoke'", metadata={"tags": ["parameters"]})
    book.cells = [nbformat.v4.new_markdown_cell("# T"), parameters, nbformat.v4.new_code_cell("t", outputs=[output])]
    nbformat.write(book, tmp_path / "n.ipynb")
    page = pages.notebook_page(tmp_path / "n.ipynb", reports.Status("n", "done"), {"03_baselines"})
    assert '<td><a href="03_baselines.html">03_baselines</a></td><td>04_x</td>' in page
    assert "<summary>parameters</summary>" in page
