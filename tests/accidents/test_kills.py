"""`kill -9` at any moment of a long job: run again it ends with the bytes of one that nobody disturbed."""

import multiprocessing
import os
import signal
import time
from contextlib import suppress

import numpy as np
import pytest

from tests.accidents import jobs

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 is Unix's")


@pytest.fixture(scope="module")
def processes():
    """New processes that have everything imported, forked from a clean one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.accidents.jobs", "accelerate"])
    return context


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("input")
    jobs.prepare(place)
    return place


@pytest.fixture(scope="module")
def undisturbed(processes, folder, tmp_path_factory):
    """name -> (what the job leaves, its seconds), each made once."""
    done = {}

    def of(name):
        if name not in done:
            out = tmp_path_factory.mktemp(name) / "out"
            began = time.monotonic()
            assert finished(processes, name, folder, out) == 0
            done[name] = jobs.left(name, out), time.monotonic() - began
        return done[name]

    return of


def finished(processes, name, folder, out):
    child = processes.Process(target=jobs.start, args=(name, folder, out))
    child.start()
    child.join(200)
    return child.exitcode


def killed(processes, name, folder, out, after):
    """Whether the job was killed so many seconds after it began, and had not ended before."""
    here, there = processes.Pipe()
    child = processes.Process(target=jobs.start, args=(name, folder, out, there))
    child.start()
    assert here.recv() == "begins"
    time.sleep(after)
    with suppress(ProcessLookupError):  # it has ended
        os.kill(child.pid, signal.SIGKILL)
    child.join(200)
    return child.exitcode == -signal.SIGKILL


def kills(processes, folder, undisturbed, tmp_path, name, seed, times):
    """Several kills in a row, at random moments, into one folder; then to its end."""
    whole, seconds = undisturbed(name)
    out, rng = tmp_path / "out", np.random.default_rng((seed, len(name)))
    deaths = sum(killed(processes, name, folder, out, float(rng.uniform(0, seconds))) for _ in range(times))
    assert finished(processes, name, folder, out) == 0
    assert jobs.left(name, out) == whole
    assert not [path for path in out.rglob("*") if ".part" in path.name]
    return deaths


@pytest.mark.slow
@pytest.mark.parametrize("name", [*jobs.JOBS])
def test_killed_and_run_again(processes, folder, undisturbed, tmp_path, name):
    kills(processes, folder, undisturbed, tmp_path, name, 0, 1)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", [*jobs.JOBS])
def test_killed_at_twenty_moments(processes, folder, undisturbed, tmp_path, name, seed):
    kills(processes, folder, undisturbed, tmp_path, name, 1 + seed, 2)
