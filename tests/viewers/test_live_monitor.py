"""A live monitor ends: with its run, with a second monitor of the same log, and with a log that cannot be read."""

import json
import os
import threading
import time

import pytest

from tinylib.viewers import clips


def running(folder):
    return [thread for thread in threading.enumerate() if thread.name == f"monitor of {folder.name}"]


def ended(threads):
    for thread in threads:
        thread.join(30)
    return not any(thread.is_alive() for thread in threads)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"epoch": 1, "loss": 2.0}) + "\n")
    return path


def test_it_ends_when_the_run_has_delivered_its_network(log):
    picture = clips.live_monitor(log, every=0.05)
    (thread,) = running(log.parent)
    network = log.with_name("model.safetensors")
    network.touch()
    later = time.time() + 5
    os.utime(network, (later, later))
    assert ended([thread])
    assert picture.value[:4] == b"\x89PNG"


def test_a_second_monitor_of_a_log_ends_the_first(log):
    clips.live_monitor(log, every=0.05)
    (first,) = running(log.parent)
    clips.live_monitor(log, every=0.05)
    assert ended([first])
    assert len(running(log.parent)) == 1
    clips.MONITORS.pop(log.resolve()).set()


def test_it_ends_with_the_reason_when_the_log_is_none(log):
    log.write_text("no JSON\nnor this\n")
    picture = clips.live_monitor(log, every=0.05)
    assert ended(running(log.parent))
    assert "not a JSON line" in picture.tooltip
