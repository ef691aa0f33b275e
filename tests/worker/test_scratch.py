import os
import subprocess
import sys
from pathlib import Path

from tests.worker.processes import ROOT
from worker.scratch import YOUNG_S, scratch_folder, sweep_scratch

KILLED = """
import os, pathlib, signal, sys
from worker.scratch import scratch_folder
with scratch_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "slice.dcm").write_bytes(b"patient")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def age(folder: Path) -> None:
    when = folder.stat().st_mtime - YOUNG_S - 1
    os.utime(folder, (when, when))


def test_folder_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    spool = tmp_path / "spool"

    with scratch_folder(spool) as folder:
        (folder / "slice.dcm").write_bytes(b"patient")

    assert spool.stat().st_mode & 0o777 == 0o700
    assert list(spool.iterdir()) == []


def test_files_of_a_killed_process_are_swept_away(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False)
    [left] = tmp_path.iterdir()
    assert sweep_scratch(tmp_path) == 0
    age(left)

    assert sweep_scratch(tmp_path) == 1

    assert list(tmp_path.iterdir()) == []


def test_files_of_a_running_job_stay_however_old(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "slice.dcm").write_bytes(b"patient")
        age(folder)

        assert sweep_scratch(tmp_path) == 0

        assert (folder / "slice.dcm").exists()


def test_folders_of_the_web_server_are_not_the_workers_to_sweep(tmp_path: Path) -> None:
    (tmp_path / "uploads-x").mkdir()
    age(tmp_path / "uploads-x")

    assert sweep_scratch(tmp_path) == 0
