"""A stage is timed, and its followers hear of its beginning and its end."""

import pytest

from hilum.jobs import JobStopped, Stage
from hilum.pipelines.stopwatch import Stopwatch


def test_a_stage_tells_its_followers_and_leaves_its_time() -> None:
    heard: list[tuple[Stage, int, int]] = []
    watch = Stopwatch(lambda *step: heard.append(step))

    with watch.stage(Stage.LUNGS):
        heard.append((Stage.LUNGS, -1, -1))

    assert heard == [(Stage.LUNGS, 0, 1), (Stage.LUNGS, -1, -1), (Stage.LUNGS, 1, 1)]
    assert watch.timings_s["lungs"] >= 0


def test_a_stage_that_is_stopped_leaves_no_time() -> None:
    def stop(_stage: Stage, _done: int, _total: int) -> None:
        raise JobStopped

    watch = Stopwatch(stop)

    with pytest.raises(JobStopped), watch.stage(Stage.SLICES):
        pytest.fail("the block must not run")

    assert watch.timings_s == {}
