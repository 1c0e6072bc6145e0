"""The viewers in JupyterLab itself: a server, a browser, a kernel, a slider that moves; and in a report without any."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import nbformat
import pytest

from tinylib import reports
from tinylib.reports import pages
from tinylib.viewers import clips

CELLS = [
    """import json
import numpy as np
from tinylib import viewers
from tinylib.datasets import Clip, Index
from pathlib import Path
values = (np.arange(1, 7) * 40).astype(np.uint8)
clip = np.broadcast_to(values[:, None, None, None], (6, 16, 16, 3)).copy()
maps = {name: {"block": np.random.default_rng(i).random((6, 4, 4))} for i, name in enumerate(("teacher", "student"))}
clips = tuple(Clip(f"c{i}", f"{i}.mp4", "v", ("walking",) if i % 2 else ("running",), 6, 16, 16) for i in range(4))
index = Index("x", "train", Path("."), ("walking", "running"), True, clips)""",
    "viewers.player({'clip': clip})",
    "viewers.attention_viewer(clip, maps)",
    "viewers.browser(index, lambda i: clip)",
    "log = Path('log.jsonl')\nlog.write_text(json.dumps({'epoch': 0, 'loss': 2.0}) + '\\n')\n"
    "viewers.live_monitor(log, every=0.2)",
]
SUM = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].reduce((a, b) => a + b)"


def write(path, outputs=None):
    new = nbformat.v4
    cells = [new.new_code_cell(source) for source in CELLS]
    for cell, output in zip(cells, outputs or [], strict=False):
        cell.outputs = output
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(new.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


@contextmanager
def jupyterlab(folder):
    """A server of its own on a free port, with a token; its address and token."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    token = secrets.token_hex(16)
    folders = {name: str(folder / "jupyter") for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    folders |= {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "spaces"),
    }
    folders["JUPYTER_PREFER_ENV_PATH"] = "1"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"]
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(command, env=os.environ | folders, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/api/status?token={token}", timeout=2).close()
                break
            except OSError:
                assert server.poll() is None, (folder / "server.log").read_text()
                time.sleep(0.1)
        yield address, token
    finally:
        server.terminate()  # and its kernels with it
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def assert_they_move(page, views):
    """Each slider, moved by the keyboard, changes the pixels: of the clip, of the map over it, of the first clip."""
    for number, canvas in ((0, 0), (1, 1), (2, 0)):
        shown = views.nth(number).locator("canvas").nth(canvas)
        page.wait_for_function(f"c => ({SUM})(c) > 0", arg=shown.element_handle())
        before = shown.evaluate(SUM)
        slider = views.nth(number).locator("[data-part=time]")
        slider.focus()
        slider.press("ArrowRight")
        slider.press("ArrowRight")
        page.wait_for_function(f"([c, v]) => ({SUM})(c) !== v", arg=[shown.element_handle(), before])


@pytest.mark.slow
def test_the_viewers_move_in_jupyterlab(tmp_path, chromium):
    write(tmp_path / "viewers.ipynb")
    with jupyterlab(tmp_path) as (address, token):
        page = chromium.new_page(viewport={"width": 1300, "height": 2400})
        page.set_default_timeout(90_000)
        page.goto(f"{address}/lab/tree/viewers.ipynb?token={token}&reset")
        page.locator(".jp-NotebookPanel .jp-CodeCell").nth(len(CELLS) - 1).wait_for()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
        views = page.locator(".jp-OutputArea-output .tl-view")
        views.nth(2).wait_for()
        page.locator(".jp-OutputArea-output img.widget-image, .jp-OutputArea-output .widget-image").first.wait_for()
        assert_they_move(page, views)
        picture = page.locator(".jp-OutputArea-output .widget-image").first
        old = picture.get_attribute("src")
        with open(tmp_path / "log.jsonl", "a") as log:
            log.write(json.dumps({"epoch": 1, "loss": 1.0}) + "\n")
        page.wait_for_function("([i, old]) => i.src !== old", arg=[picture.element_handle(), old])
        page.close()


def test_the_viewers_move_in_a_rendered_report_without_kernel_and_network(tmp_path, chromium):
    space: dict = {}
    exec(CELLS[0], space)
    clip, maps, index = space["clip"], space["maps"], space["index"]
    notebooks = [
        clips.player({"clip": clip}),
        clips.attention_viewer(clip, maps),
        clips.browser(index, lambda i: clip),
    ]
    show = nbformat.v4.new_output
    write(tmp_path / "n.ipynb", [[], *([show("display_data", {"text/html": v._repr_html_()})] for v in notebooks)])
    status = reports.Status("05_x", "done", title="T", hardware="CPU", data="synthvirat", profile="smoke")
    (tmp_path / "n.html").write_text(pages.notebook_page(tmp_path / "n.ipynb", status), encoding="utf-8")
    page, requests = chromium.new_page(), []
    page.route(
        lambda url: not url.startswith(("file:", "data:")),
        lambda route: (requests.append(route.request.url), route.abort()),
    )
    page.on("pageerror", lambda error: requests.append(str(error)))
    page.goto((tmp_path / "n.html").as_uri())
    views = page.locator(".output .tl-view")
    assert views.count() == 3
    assert_they_move(page, views)
    page.locator(".banner").get_by_text("synthetic").wait_for()
    assert requests == []
    page.close()
