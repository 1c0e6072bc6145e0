"""Bars where somebody watches, lines where nobody does."""

import io
import sys

import pytest

from tinylib.progress import Meter, Progress, track, watched


def test_progress_counts_in_epochs():
    here = Progress(epoch=3, step=1, steps_per_epoch=4, epochs=10, global_step=13)
    assert here.time == 3.25
    assert here.next() == Progress(epoch=3, step=2, steps_per_epoch=4, epochs=10, global_step=14)


def test_a_batch_run_leaves_one_line_and_no_bar(capsys, monkeypatch):
    monkeypatch.setenv("TINYLIB_PROGRESS", "lines")
    assert list(track(range(3), "reading")) == [0, 1, 2]
    captured = capsys.readouterr()
    assert captured.out.startswith("reading: 3/3 in ")
    assert captured.out.count("\n") == 1
    assert captured.err == ""


def test_an_iterator_of_unknown_length_is_counted(capsys, monkeypatch):
    monkeypatch.setenv("TINYLIB_PROGRESS", "lines")
    assert sum(track((i for i in (1, 2)), "adding")) == 3
    assert capsys.readouterr().out.startswith("adding: 2 in ")


def test_long_work_reports_on_the_way(capsys, monkeypatch):
    monkeypatch.setenv("TINYLIB_PROGRESS", "lines")
    meter = Meter(2, "slow", every=-1.0)
    meter.advance()
    assert capsys.readouterr().out.startswith("slow: 1/2 in ")


def test_a_line_says_what_is_left(capsys, monkeypatch):
    monkeypatch.setenv("TINYLIB_PROGRESS", "lines")
    clock = iter([100.0, 160.0, 160.0, 190.0])
    monkeypatch.setattr("tinylib.progress.time.monotonic", lambda: next(clock))
    with Meter(10, "clips", done=4, every=30.0) as meter:
        meter.advance(2)
        meter.advance(0)
        meter.closing_line = False
    assert capsys.readouterr().out == "clips: 6/10 in 60.0 s, about 120 s to go\n"


def test_failed_work_does_not_claim_to_be_done(capsys, monkeypatch):
    monkeypatch.setenv("TINYLIB_PROGRESS", "lines")
    with pytest.raises(ZeroDivisionError):
        [1 / item for item in track([1, 0], "dividing")]
    with pytest.raises(RuntimeError), Meter(2, "failing"):
        raise RuntimeError
    assert capsys.readouterr().out == ""


def test_a_watched_run_shows_a_bar(capsys, monkeypatch):
    monkeypatch.setenv("TINYLIB_PROGRESS", "bar")
    assert list(track([1, 2], "reading")) == [1, 2]
    captured = capsys.readouterr()
    assert "reading" in captured.err
    assert captured.out == ""


def test_who_watches(monkeypatch):
    monkeypatch.delenv("TINYLIB_PROGRESS", raising=False)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not watched()

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert watched()


@pytest.mark.parametrize("answers", [True, False])
def test_batch_notebooks_are_told_from_live_ones(answers, monkeypatch):
    import IPython

    class Kernel:
        _allow_stdin = answers

    class Shell:
        kernel = Kernel()

    monkeypatch.delenv("TINYLIB_PROGRESS", raising=False)
    monkeypatch.setattr(IPython, "get_ipython", Shell)
    assert watched() is answers
