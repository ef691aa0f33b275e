import pytest

from cli.progress import Board
from hilum.jobs import Stage


def test_a_log_gets_each_step_once_and_the_quarters_of_a_long_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Board() as board:
        board.upload(10 * 1024 * 1024, 10 * 1024 * 1024)
        board.queue(2, 30.0)
        board.queue(2, 29.0)
        board.stage(Stage.READING, 0, 1)
        for done in range(61):
            board.stage(Stage.SLICES, done, 60)
        board.finish()

    lines = [line.split() for line in capsys.readouterr().err.splitlines() if line.strip()]
    steps = ["upload", "queue", "reading", "lungs", *["slices"] * 5, "measuring", "writing"]
    assert [line[0] for line in lines] == steps
    assert lines[0][1:] == ["10.0", "of", "10.0", "MiB"]
    assert " ".join(lines[1][1:]) == "2 ahead, about 30 s to the report"
    assert [line[1] for line in lines[4:9]] == ["0", "15", "30", "45", "60"]


def test_steps_that_were_never_seen_under_way_do_not_trouble_the_board() -> None:
    with Board() as board:
        board.stage(Stage.WRITING, 1, 1)
        board.finish()

    assert board.step == "writing"


def test_a_study_that_was_sent_before_shows_no_steps_it_did_not_take(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Board() as board:
        board.upload(1024, 1024)
        board.finish()

    assert "slices" not in capsys.readouterr().err


def test_the_results_stream_stays_free_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with Board() as board:
        board.stage(Stage.SLICES, 1, 2)

    assert capsys.readouterr().out == ""
