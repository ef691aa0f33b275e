import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from hilum.errors import MissingSetting
from hilum.logs import configure_logs, describe_crash
from hilum.settings import Settings


def settings(level: str) -> Settings:
    return Settings(
        database_url="postgresql://h/d",
        redis_url="redis://h",
        storage_url="file:///s",
        secret_key="0123456789abcdef0123456789abcdef",
        log_level=level,
    )


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """Leave the logs of this process as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # So that putting ours in place does not close pytest's.
    root.handlers.clear()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_line_is_one_json_object_with_its_job(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(settings("info"))

    with structlog.contextvars.bound_contextvars(job_id="j-1"):
        structlog.get_logger("worker.run").info("job.taken", attempt=2)

    [line] = lines(capsys)
    assert line.pop("timestamp")
    assert line == {
        "event": "job.taken",
        "logger": "worker.run",
        "level": "info",
        "job_id": "j-1",
        "attempt": 2,
    }


def test_libraries_log_in_the_same_shape(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(settings("INFO"))

    logging.getLogger("celery.worker").warning("lost %s", "redis")

    [line] = lines(capsys)
    assert (line["event"], line["logger"], line["level"]) == (
        "lost redis",
        "celery.worker",
        "warning",
    )


def test_what_is_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(settings("WARNING"))

    structlog.get_logger("worker").info("quiet")
    logging.getLogger("celery").info("quiet")

    assert lines(capsys) == []


def test_crash_is_told_by_its_places_and_not_by_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(settings("INFO"))

    try:
        try:
            int("Doe^John")
        except ValueError as error:
            raise RuntimeError("Doe^John again") from error
    except RuntimeError:
        logging.getLogger("celery").exception("broke off")

    [line] = lines(capsys)
    assert "Doe" not in json.dumps(line)
    assert line["error"] == "RuntimeError"
    assert line["causes"][0]["error"] == "ValueError"  # type: ignore[index] # of the JSON above
    assert "test_crash_is_told" in line["frames"][0]  # type: ignore[index] # likewise


def test_error_that_was_never_raised_has_no_places() -> None:
    assert describe_crash(ValueError("x")) == {"error": "ValueError", "frames": [], "causes": []}


def test_unknown_level_is_refused_by_name() -> None:
    with pytest.raises(MissingSetting, match="HILUM_LOG_LEVEL: found 'LOUD'"):
        configure_logs(settings("LOUD"))
