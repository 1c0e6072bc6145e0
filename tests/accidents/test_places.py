"""Folders that are shared, and folders that cannot be written."""

import multiprocessing
from pathlib import Path

import pytest

from tests.accidents import jobs
from tinylib import cli
from tinylib.errors import TinylibError


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.accidents.jobs", "accelerate"])
    return context


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("input")
    jobs.prepare(place)
    return place


def begun(processes, name, folder, out):
    here, there = processes.Pipe()
    child = processes.Process(target=jobs.start, args=(name, folder, out, there))
    child.start()
    assert here.recv() == "begins"
    return child, here


@pytest.mark.slow
@pytest.mark.parametrize("name", [*jobs.JOBS])
def test_two_at_once_wait_for_each_other_or_one_is_refused_in_one_line(processes, folder, tmp_path, name):
    alone = begun(processes, name, folder, tmp_path / "alone")[0]
    alone.join(200)
    assert alone.exitcode == 0
    pair = [begun(processes, name, folder, tmp_path / "both") for _ in range(2)]
    for child, _ in pair:
        child.join(200)
    refused = [here.recv() for child, here in pair if child.exitcode != 0]
    assert [child.exitcode for child, _ in pair].count(0) >= 1
    assert all("\n" not in line and line.startswith(("UsageError", "DataError")) for line in refused), refused
    if name == "predict":  # the later of two results sets the earlier aside
        assert not [path for path in tmp_path.rglob("*") if ".part" in path.name]
    assert jobs.left(name, tmp_path / "both") == jobs.left(name, tmp_path / "alone")


SEALED = Path("/sys/kernel")  # where nobody can make a folder, not even root


@pytest.mark.skipif(not SEALED.is_dir(), reason="there is no folder that is closed to everybody here")
@pytest.mark.parametrize("name", [*jobs.JOBS])
def test_a_folder_that_cannot_be_written_is_one_line(folder, name):
    with pytest.raises((TinylibError, OSError)) as error:
        jobs.JOBS[name](folder, SEALED / "out")
    line = str(error.value)
    assert "\n" not in line
    assert str(SEALED) in line


@pytest.mark.skipif(not SEALED.is_dir(), reason="there is no folder that is closed to everybody here")
def test_the_command_says_it_in_one_line_too(folder, capsys):
    calls = (
        [
            "build",
            "virat",
            "--annotations",
            folder / "annotations",
            "--videos",
            folder / "videos",
            "--out",
            SEALED / "out",
        ],
        ["predict", folder / "film.mp4", "--model", folder / "run", "--out", SEALED / "out"],
    )
    for call in calls:
        assert cli.main(list(map(str, call))) == 1
        line = capsys.readouterr().err
        assert line.startswith("tinylib: ")
        assert line.count("\n") == 1
        assert str(SEALED) in line
