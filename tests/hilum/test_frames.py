"""Frames say where a program was, and neither what it held nor where its disk keeps it."""

import faulthandler
import sys
import threading
from pathlib import Path

from hilum.dicom.read import read_study
from hilum.frames import frames_of, frames_of_thread, read_dump


def test_frames_name_modules_and_not_folders_of_the_machine() -> None:
    try:
        read_study([Path("/secret/MUSTERMANN.dcm")])
    except Exception as error:  # noqa: BLE001 - whatever it is, it has frames
        frames = frames_of(error)

    assert frames[0].startswith("tests/hilum/test_frames.py:")
    assert frames[1].startswith("hilum/dicom/read.py:")
    assert frames[1].endswith(" read_study")
    assert "MUSTERMANN" not in str(frames)


def test_frames_of_a_thread_say_where_it_waits() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()

    assert thread.ident is not None
    frames = frames_of_thread(thread.ident)
    over.set()
    thread.join()

    assert any(frame.endswith(" wait") for frame in frames)
    assert frames_of_thread(thread.ident) == []


def test_dump_of_a_dying_process_is_read_with_the_innermost_frame_last(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    with path.open("w") as file:
        file.write("Fatal Python error: Segmentation fault\n\n")
        file.flush()
        faulthandler.dump_traceback(file, all_threads=False)

    found = read_dump(path.read_text())

    assert found is not None
    error, frames = found
    assert error == "Segmentation fault"
    assert frames[-1].startswith("tests/hilum/test_frames.py:")
    assert frames[-1].endswith(f" {sys._getframe().f_code.co_name}")


def test_file_of_a_process_that_was_killed_holds_no_frames() -> None:
    assert read_dump("4b0e0a0c-0000-0000-0000-000000000000 ward-3:17\n") is None
