import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from api import spool as spool_module
from api.spool import HOME_PREFIX, Spool, SpoolFile, spooled
from hilum.errors import StorageFull

LEAVE_BEHIND = """
import os, sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
# The module alone: the package around it takes seconds to import.
spec = spec_from_file_location("spool", sys.argv[3])
sys.modules["spool"] = module = module_from_spec(spec)
spec.loader.exec_module(module)
spool = module.Spool.open(Path(sys.argv[1]))
with spool.folder() as folder:
    (folder / "half.dcm").write_bytes(b"half")
    print(spool.home, flush=True)
    if sys.argv[2] == "die":
        os._exit(9)
    sys.stdin.read()
"""


def test_folder_is_gone_whatever_happens(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool")

    with suppress(ZeroDivisionError), spool.folder() as folder:
        (folder / "x").write_bytes(b"x")
        raise ZeroDivisionError

    assert not folder.exists()
    spool.close()
    assert not spool.home.exists()


def test_spool_is_for_its_owner_alone(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path / "spool")

    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert spool.home.stat().st_mode & 0o777 == 0o700
    spool.close()


def test_what_a_dead_process_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", LEAVE_BEHIND, tmp_path, "die", spool_module.__file__],
        capture_output=True,
        text=True,
        check=False,
    )
    left = Path(dead.stdout.strip())
    assert list(left.rglob("half.dcm"))

    spool = Spool.open(tmp_path)

    assert not left.exists()
    assert [path.name for path in tmp_path.glob(f"{HOME_PREFIX}*.lock")] == [
        f"{spool.home.name}.lock"
    ]
    spool.close()


def test_what_a_live_process_holds_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LEAVE_BEHIND, tmp_path, "live", spool_module.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as live:
        assert live.stdout is not None
        held = Path(live.stdout.readline().strip())

        Spool.open(tmp_path).close()

        assert list(held.rglob("half.dcm"))
        live.communicate("")


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "job-7").mkdir()

    Spool.open(tmp_path).close()

    assert (tmp_path / "job-7").exists()


def test_file_knows_its_hash_as_if_it_were_read_again(tmp_path: Path) -> None:
    with SpoolFile(tmp_path / "a") as file:
        file.write(b"one")
        file.write(b"two")
        done = file.done()

    assert done == spooled(tmp_path / "a")
    assert done.size == 6


def test_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None:
            pass

    file = SpoolFile(tmp_path / "a")
    file.close()
    monkeypatch.setattr(file, "_file", Full())

    with pytest.raises(StorageFull):
        file.write(b"x")
