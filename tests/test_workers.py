"""Worker processes: a script that would start them again in each of them is told so, in one line, before any starts."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tinylib import workers
from tinylib.errors import UsageError, WorkerKilled


def die_once(number: int, folder: str) -> int:
    """Item 3 ends its process the first time, item 4 (of folder 'always') at each."""
    mark = Path(folder) / "died"
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 4 and folder.endswith("always"):
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * number


def test_a_killed_worker_is_replaced_and_its_item_tried_again(tmp_path):
    items = [(number, str(tmp_path)) for number in range(7)]
    assert list(workers.in_order(die_once, items, 2)) == [0, 10, 20, 30, 40, 50, 60]
    assert (tmp_path / "died").exists()


def test_the_item_that_kills_its_worker_twice_is_named(tmp_path):
    folder = tmp_path / "always"
    folder.mkdir()
    results, killed = set(), []
    for _, result in workers.as_finished(
        die_once, [(number, str(folder)) for number in range(7)], 2, name=lambda item: f"item {item[0]}"
    ):
        try:
            results.add(result())
        except WorkerKilled as error:
            killed.append(str(error))
    assert results == {0, 10, 20, 30, 50, 60}
    assert killed == ["item 4: the process that worked on it was killed, twice (out of memory?)"]


CALL = "workers.connect(None, 2).__enter__()"
START = "import sys\nfrom tinylib import workers\nfrom tinylib.errors import UsageError\n"


def run(*arguments, text=None):
    return subprocess.run([sys.executable, *arguments], input=text, capture_output=True, text=True, timeout=60)


def test_a_script_without_a_guard_is_refused_in_one_line(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(START + "def work():\n    " + CALL + "\n\nif True:\n    work()\n")
    done = run(str(script))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"tinylib.errors.UsageError: {script}, line 8: this starts worker processes")
    assert last.endswith('put the call under `if __name__ == "__main__":`, or pass workers=1')
    assert "bootstrapping" not in done.stderr
    assert "distributed" not in done.stderr


GUARDED = 'def work():\n    workers.check_guard()\n\nif __name__ == "__main__":\n    work()\n    print("fine")\n'
CALLED = "if '__main__' == __name__ and True:\n    workers.check_guard()\n    print('fine')\n"


@pytest.mark.parametrize("body", [GUARDED, CALLED])
def test_a_script_with_a_guard_is_let_through(tmp_path, body):
    script = tmp_path / "mine.py"
    script.write_text(START + body)
    done = run(str(script))
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr


def test_a_prompt_is_let_through_and_a_pipe_is_not():
    body = START + "workers.check_guard()\nprint('fine')\n"
    assert run("-c", body).stdout == "fine\n"  # nothing for a new process to import
    piped = run("-", text=body)
    assert "UsageError: <stdin>, line 4: worker processes need a script that is a file" in piped.stderr


def test_the_guard_is_looked_at_before_local_processes_alone(monkeypatch):
    def refuse():
        raise UsageError("asked")

    monkeypatch.setattr(workers, "check_guard", refuse)
    with pytest.raises(UsageError, match="asked"), workers.connect(None, 2):
        pass
    with workers.connect(None, 1, processes=False) as client:  # threads run no script again
        assert client.submit(sum, [1, 2]).result() == 3
        address = client.scheduler.address
        with workers.connect(address, 9) as other:
            assert other.submit(max, [1, 2]).result() == 2


LISTENING = """
import sys
import psutil
from tinylib import workers

def listening():
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return {c.laddr for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}

if __name__ == "__main__":
    with workers.connect(None, 1, processes=sys.argv[2] == "processes") as client:
        client.submit(sum, [1, 2]).result()
        print(sorted({address.ip for address in listening()}), sys.argv[1] in {str(a.port) for a in listening()})
"""


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_nothing_of_a_local_cluster_listens_to_the_network(tmp_path, monkeypatch, kind):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    script = tmp_path / "mine.py"
    script.write_text(LISTENING)
    monkeypatch.delenv("TINYLIB_DASHBOARD", raising=False)
    assert run(str(script), port, kind).stdout == "['127.0.0.1'] False\n"
    monkeypatch.setenv("TINYLIB_DASHBOARD", port)
    assert run(str(script), port, kind).stdout == "['127.0.0.1'] True\n"


@pytest.mark.parametrize("port", ["all", ":0", "70000", "0.0.0.0:1"])
def test_a_dashboard_that_is_no_port_is_refused(monkeypatch, port):
    monkeypatch.setenv("TINYLIB_DASHBOARD", port)
    with pytest.raises(UsageError, match="TINYLIB_DASHBOARD: expected a port from 0 to 65535, not"):
        workers.dashboard()
