import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer

import pytest

from cli import processes
from cli.processes import Family, ProcessLost, Program, ended_by_signals, running


def program(code: str, log: Path, *, stop_s: float = 5.0) -> Program:
    return Program("part", [sys.executable, "-c", code], os.environ, log, stop_s)


def eventually(true: Callable[[], bool], family: Family) -> bool:
    return family.wait_until(true, timeout_s=10.0)


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    # What nobody has waited for yet is dead all the same.
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "part.log"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(processes, "POLL_S", 0.02)


@pytest.mark.usefixtures("impatient")
def test_a_child_that_dies_is_started_again(log: Path) -> None:
    with running([program("print('hello')", log)]) as family:
        again = eventually(lambda: log.exists() and log.read_text().count("hello") >= 2, family)

    assert again


@pytest.mark.usefixtures("impatient")
def test_a_child_that_keeps_dying_stops_everything_and_names_its_log(log: Path) -> None:
    with (
        pytest.raises(
            ProcessLost, match=r"part stopped 5 times in a row.* exit status 3\. .*part\.log"
        ),
        running([program("raise SystemExit(3)", log)]) as family,
    ):
        family.wait_until(lambda: False, timeout_s=20.0)


def test_what_a_child_started_does_not_outlive_it(log: Path) -> None:
    code = (
        "import subprocess, sys, time;"
        "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True);"
        "time.sleep(60)"
    )

    with running([program(code, log)]) as family:
        assert eventually(lambda: log.exists() and bool(log.read_text().strip()), family)
        grandchild = int(log.read_text())
        assert is_running(grandchild)

    time.sleep(0.1)
    assert not is_running(grandchild)


def test_a_child_deaf_to_polite_requests_is_killed(log: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(60)"
    )

    with running([program(code, log, stop_s=0.2)]) as family:
        assert eventually(lambda: log.exists() and "deaf" in log.read_text(), family)
        process = family.children[0].process
        start = time.monotonic()

    assert time.monotonic() - start < 5.0
    assert process is not None
    assert process.poll() == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_block_and_the_program_goes_on(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    with ended_by_signals():
        os.kill(os.getpid(), number)
        time.sleep(5.0)
        pytest.fail("the signal was not heard")

    assert signal.getsignal(number) == before


def test_children_stop_in_the_order_given(tmp_path: Path) -> None:
    shared = tmp_path / "order"
    code = (
        "import signal, sys, time, pathlib;"
        "f = lambda *_: (open({path!r}, 'a').write({name!r}), sys.exit(0));"
        "signal.signal(signal.SIGTERM, f); print('up', flush=True); time.sleep(60)"
    )
    programs = [
        program(code.format(path=str(shared), name=name), tmp_path / f"{name}.log") for name in "ab"
    ]

    with running(programs) as family:
        logs = [tmp_path / "a.log", tmp_path / "b.log"]
        assert eventually(lambda: all(p.exists() and p.read_text() for p in logs), family)

    assert shared.read_text() == "ab"


def test_children_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    code = (
        "import os, sys, time; from pathlib import Path;"
        "from cli.processes import Program, running; from cli.system import bound_to_parent;"
        "child = bound_to_parent(['-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)']);"
        f"p = Program('part', child, os.environ, Path({str(log)!r}));\n"
        "with running([p]) as family: family.watch_for_ever()"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline and not (log.exists() and log.read_text().strip()):
            time.sleep(0.05)
        parent.kill()
    child = int(log.read_text())

    while time.monotonic() < deadline and is_running(child):
        time.sleep(0.05)
    assert not is_running(child)


def test_a_second_signal_cuts_politeness_short(log: Path) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(60)"
    )
    start = time.monotonic()

    with running([program(code, log, stop_s=30.0)]) as family:
        assert eventually(lambda: log.exists() and "deaf" in log.read_text(), family)
        timer = Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()

    timer.join()
    assert time.monotonic() - start < 10.0
