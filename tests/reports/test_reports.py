import base64
import io
import json
import re

import nbformat
import numpy as np
import pytest
from PIL import Image

from tinylib import reports
from tinylib.errors import UsageError
from tinylib.files import locked
from tinylib.reports import folders, graph, pages, runner, watch

PARAMETERS = "profile: str = 'smoke'\nrun_dir: str = 'runs/x'\nscale: int = 4\nsize: float | None = None"


def write(folder, name, *code):
    new = nbformat.v4
    parameters = new.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
    cells = [new.new_markdown_cell(f"# Title of {name}\n\nWhy.\n\n## Part one"), parameters]
    cells += [new.new_code_cell(source) for source in code]
    nbformat.write(new.new_notebook(cells=cells), folder / f"{name}.ipynb")


@pytest.fixture
def ordered(monkeypatch):
    places = {"02_b": ("01_a",), "03_c": ("02_b",), "05_e": ("*",)}
    for module in (graph, runner):
        monkeypatch.setattr(module, "after", lambda name: places.get(name, ()))


def plan(folder, only=(), **parameters):
    return reports.plan(folder, "smoke", only, folder / "out", parameters, force=False, remote=False)


def test_the_graph_orders_the_notebooks(tmp_path, ordered):
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


def test_a_change_of_source_parameters_or_a_notebook_before_changes_the_fingerprint(tmp_path, ordered):
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
def test_run_shows_what_was_done_failed_died_and_waited_and_then_resumes(tmp_path, ordered, capsys):
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


def test_an_interrupted_run_keeps_its_folder_and_other_settings_start_afresh(tmp_path, monkeypatch, capsys):
    write(tmp_path, "01_a", "1")
    monkeypatch.setattr(runner, "_papermill", lambda job: "stopped")
    log = tmp_path / "out/runs/01_a/log.jsonl"
    jobs = plan(tmp_path)
    reports.execute(jobs["01_a"])
    log.parent.mkdir(parents=True)
    log.write_text("half\n")
    assert reports.execute(jobs["01_a"]).state == "failed"
    assert log.exists()
    reports.execute(plan(tmp_path, scale=2)["01_a"])
    assert not log.exists()
    (before,) = (tmp_path / "out/runs").glob("01_a.before-*")  # finished or not, it is kept beside, and named
    assert (before / "log.jsonl").read_text() == "half\n"
    assert f"01_a: the run of before is kept as runs/{before.name}" in capsys.readouterr().out


def test_long_logs_are_folded_away_and_short_ones_joined(tmp_path):
    def printed(*lines):
        return [nbformat.v4.new_output("stream", name="stdout", text=line + "\n") for line in lines]

    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_markdown_cell("# T"),
        nbformat.v4.new_code_cell("short()", outputs=printed("one", "two")),
        nbformat.v4.new_code_cell("long()", outputs=printed(*(f"epoch {i}" for i in range(1, 41)))),
    ]
    nbformat.write(book, tmp_path / "n.ipynb")
    page = pages.notebook_page(tmp_path / "n.ipynb", reports.Status("n", "done", data="folder"))
    assert f'<div class="output" {pages.SCROLLS}><pre>one\ntwo\n</pre></div>' in page
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


def test_pictures_lose_bytes_and_no_pixel(tmp_path):
    pixels = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(png, format="png", compress_level=0)
    kind, text = re.fullmatch("data:image/(.*);base64,(.*)", pages._picture(png.getvalue())).groups()
    shown = base64.b64decode(text)
    assert kind == "webp"
    assert len(shown) < len(png.getvalue())
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(shown)))[..., 0], pixels)


def test_what_sums_up_runs_whatever_became_of_the_others_and_again_when_one_has_run(tmp_path, ordered, monkeypatch):
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
    monkeypatch.setattr(runner, "_papermill", pretend)
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


def test_two_calls_do_not_share_a_folder(tmp_path):
    write(tmp_path, "01_a", "1")
    with locked(tmp_path / "out" / "reports"), pytest.raises(UsageError, match="in use by another process"):
        reports.run(tmp_path, "smoke", out=tmp_path / "out")
    assert not (tmp_path / "out" / "status").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not a status"),
        ("[]", "no object"),
        ('{"name": "01_a", "state": "done", "seconds": "long"}', "seconds: 'long'"),
        ('{"name": "01_a", "state": "half"}', "name or state"),
        ('{"name": "02_b", "state": "done"}', "name or state"),
    ],
)
def test_a_foreign_status_counts_as_not_run_and_is_named(tmp_path, text, says):
    (tmp_path / "status").mkdir()
    (tmp_path / "status/01_a.json").write_text(text)
    status = reports.read_status(tmp_path, "01_a")
    assert (status.state, status.fingerprint) == ("not run", "")
    assert "status/01_a.json" in status.error
    assert says in status.error
    assert "01_a.json" in pages.index_page(tmp_path, [status])


def test_a_status_of_a_later_version_is_read(tmp_path):
    (tmp_path / "status").mkdir()
    (tmp_path / "status/01_a.json").write_text('{"name": "01_a", "state": "done", "seconds": 3, "mood": "good"}')
    assert reports.read_status(tmp_path, "01_a").seconds == 3
    assert reports.read_status(tmp_path, "02_b") is None


def test_a_notebook_that_runs_says_so_and_one_that_was_killed_is_interrupted(tmp_path, monkeypatch):
    write(tmp_path, "01_a", "1")
    seen = []
    monkeypatch.setattr(runner, "_papermill", lambda job: seen.append(reports.read_status(job.out, "01_a")) or "x")
    reports.execute(plan(tmp_path)["01_a"])
    assert seen[0].state == "running"
    seen[0].write(tmp_path / "out")
    assert '<span class="state running">running</span>' in pages.index_page(tmp_path / "out", seen)
    runner._end_interrupted(tmp_path / "out")
    status = reports.read_status(tmp_path / "out", "01_a")
    assert (status.state, status.error) == ("failed", "interrupted")


def test_what_a_notebook_is_at_is_one_line(tmp_path):
    new = nbformat.v4
    done, at = ({"papermill": {"status": status}} for status in ("completed", "running"))
    cells = [new.new_markdown_cell("# T"), new.new_code_cell("x: int = 1", metadata=done)]
    cells += [new.new_markdown_cell("## Training\n\nLong."), new.new_code_cell("# Fit it\nfit()", metadata=at)]
    cells += [new.new_code_cell("show()", metadata={"papermill": {"status": "pending"}})]
    (tmp_path / "notebooks").mkdir()
    working = tmp_path / "notebooks/01_a.running.ipynb"
    nbformat.write(new.new_notebook(cells=cells), working)
    assert watch.position(working) == watch.Position(2, 3, "Training: Fit it", "")
    reports.Status("01_a", "running").write(tmp_path)
    seen = {}
    assert list(watch.lines(tmp_path, ["01_a", "02_b"], seen)) == ["01_a: cell 2 of 3, 1 to go · Training: Fit it"]
    assert list(watch.lines(tmp_path, ["01_a"], seen)) == []
    printed = new.new_output("stream", name="stdout", text="epoch 1\nclips: 5/9 in 60.0 s, about 48 s to go\n")
    cells[3]["outputs"] = [printed]
    nbformat.write(new.new_notebook(cells=cells), working)
    line = "01_a: cell 2 of 3 · clips: 5/9 in 60.0 s, about 48 s to go"
    assert list(watch.lines(tmp_path, ["01_a"], seen)) == [line]
    assert list(watch.lines(tmp_path, ["01_a"], seen)) == []
    working.write_text("{half")
    assert watch.position(working) is None


def test_typed_parameters_are_read_as_each_notebook_declares_them(tmp_path):
    write(tmp_path, "01_a", "1")
    jobs = graph.plan(
        tmp_path, "smoke", (), tmp_path / "out", {}, texts={"scale": "8", "size": "1e-1"}, force=False, remote=False
    )
    assert (jobs["01_a"].parameters["scale"], jobs["01_a"].parameters["size"]) == (8, 0.1)
    with pytest.raises(UsageError, match=r"scale must be int, got '50%'"):
        graph.plan(tmp_path, "smoke", (), tmp_path, {}, texts={"scale": "50%"}, force=False, remote=False)


def test_a_training_that_has_ended_keeps_its_newest_checkpoint(tmp_path):
    for run, ended in (("a", True), ("b", False)):
        there = tmp_path / run / "checkpoints"
        there.mkdir(parents=True)
        for step in (10, 20):
            (there / f"{step:09d}.safetensors").write_bytes(b"x" * 1000)
            (there / f"{step:09d}.json").write_text("{}")
        if ended:
            (tmp_path / run / "model.safetensors").write_bytes(b"m")
    assert folders.thin(tmp_path) == 1002
    assert sorted(p.name for p in (tmp_path / "a/checkpoints").iterdir()) == ["000000020.json", "000000020.safetensors"]
    assert len(list((tmp_path / "b/checkpoints").iterdir())) == 4
    assert folders.spelled(folders.size(tmp_path)) == "3 kB"


def test_names_in_a_styled_table_are_text_on_the_page(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"run <i>": ["<img src=x onerror=alert(1)>", "a &amp; b", "I3D > R3D"]})
    book = nbformat.v4.new_notebook()
    output = nbformat.v4.new_output("display_data", data={"text/html": frame.style.set_caption("<b>c").to_html()})
    book.cells = [nbformat.v4.new_markdown_cell("# T"), nbformat.v4.new_code_cell("t", outputs=[output])]
    nbformat.write(book, tmp_path / "n.ipynb")
    page = pages.notebook_page(tmp_path / "n.ipynb", reports.Status("n", "done"))
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;</td>" in page
    assert "run &lt;i&gt;</th>" in page
    assert "&lt;b&gt;c</caption>" in page
    assert "I3D &gt; R3D</td>" in page


def test_the_index_opens_with_what_became_of_the_claims(tmp_path):
    from tinylib import results

    native = "TinyVIRAT native 10-128 px (baseline: bicubic to 112x112)"
    base = {"paper": "tinyvirat", "ref": "Table II", "input": native, "metric": "F1", "profile": "demo", "seeds": 3}
    base |= {"data": "synthvirat", "commit": "abc", "device": "CPU"}
    rows = [("I3D", 0.3), ("I3D + Prog. DVSR", 0.4), ("I3D + Prog. DVSR + Att.", 0.2)]
    rows = [results.Row(row=name, value=v, low=v - 0.01, high=v + 0.01, **base) for name, v in rows]
    results.record(tmp_path / "runs/05_foreground_attention", rows)
    results.record(tmp_path / "runs/05_foreground_attention.before-2026-01-01-000000", rows[:1])
    page = pages.index_page(tmp_path, [reports.Status("05_foreground_attention", "done")])
    assert page.index("data:image/png;base64,") < page.index("<h2>What each paper is known for</h2>")
    assert '<td class="value">+10.0</td>\n<td class="verdict yes">holds</td><td>unpaired</td>' in page
    assert '<td class="verdict no">is reversed</td>' in page
    assert "are earlier runs set aside (runs/NAME.before-DATE)" in page
    assert "data:image" not in pages.index_page(tmp_path / "empty", [])
