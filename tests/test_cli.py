import subprocess
import sys

import pytest

from tinylib import cli, reports
from tinylib.errors import DataError, UsageError
from tinylib.reports import runner


def call(capsys, *arguments):
    code = cli.main(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fly"], "invalid choice: 'fly'"),
        ([], "required: COMMAND"),
        (["synth"], "required: --out"),
        (["synth", "--out", "x", "--clips", "0"], "expected a positive whole number, got '0'"),
        (["synth", "--out", "x", "--profile", "quick"], "invalid choice: 'quick'"),
        (["build", "ava", "--annotations", ".", "--out", "x"], "invalid choice: 'ava'"),
        (["build", "meva", "--annotations", "nowhere", "--out", "x"], "nowhere: no such folder"),
        (["build", "meva", "--annotations", ".", "--out", "x"], "--videos DIR is needed"),
        (["build", "v2", "--annotations", "tests", "--dry-run", "--out", "x"], "tests/virat: no such folder"),
        (["submit", "nowhere.npz", "--out", "x"], "nowhere.npz: no such file"),
        (["check", "nowhere"], "nowhere: no such folder"),
        (["convert", "i3d", "nowhere.pth", "x"], "nowhere.pth: no such file"),
        (["reports", "--prof", "smoke"], "unrecognized arguments: --prof"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_2(capsys, arguments, says):
    code, out, err = call(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("tinylib: ")
    assert err.count("\n") == 1
    assert says in err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("wrong\ncall"), 2, "tinylib: wrong call\n"),
        (DataError("x.mp4: no frames"), 1, "tinylib: x.mp4: no frames\n"),
        (FileNotFoundError(2, "No such file", "x"), 1, "tinylib: [Errno 2] No such file: 'x'\n"),
        (KeyError("k"), 1, "tinylib: KeyError: 'k' (unforeseen; --debug shows where)\n"),
    ],
)
def test_errors_are_one_line_and_debug_raises(capsys, monkeypatch, error, code, line):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(runner, "run", fail)
    assert call(capsys, "reports") == (code, "", line)
    with pytest.raises(type(error)):
        cli.main(["reports", "--debug"])


def test_reports_passes_typed_parameters_and_fails_when_a_notebook_did(capsys, monkeypatch, tmp_path):
    seen = {}

    def run(notebooks, profile, only, out, scheduler, *, texts, force, keep_checkpoints):
        seen.update(locals())
        return [reports.Status("01_a", "done"), reports.Status("02_b", seen.get("end", "failed"))]

    monkeypatch.setattr(runner, "run", run)
    arguments = ["reports", "--profile", "smoke", "--only", "04, 05", "--out", str(tmp_path), "-p", "scale", "8"]
    code, out, _ = call(capsys, *arguments, "-p", "data", "ucf101")
    assert code == 1
    assert out.endswith("index.html: 1 of 2 notebooks done\n")
    assert (seen["profile"], seen["only"]) == ("smoke", ["04", "05"])
    assert seen["texts"] == {"scale": "8", "data": "ucf101"}  # the notebook's declaration says what they are
    seen["end"] = "done"
    assert call(capsys, *arguments)[0] == 0


def test_help_and_version_exit_0():
    for flag in ("--help", "--version"):
        with pytest.raises(SystemExit) as stop:
            cli.main([flag])
        assert stop.value.code == 0


def test_the_command_is_installed_and_starts_without_torch():
    code = (
        "import sys, tinylib.cli; tinylib.cli.parser(); sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    from importlib.metadata import entry_points

    (entry,) = (e for e in entry_points(group="console_scripts") if e.name == "tinylib")
    assert entry.value == "tinylib.cli:main"
