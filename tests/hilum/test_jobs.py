"""The table of states and the arithmetic of progress."""

import pytest

from hilum.jobs import (
    FINAL_STATES,
    STAGE_WEIGHT,
    TRANSITIONS,
    Stage,
    State,
    may_move,
    overall_fraction,
)


def test_every_state_can_reach_an_end() -> None:
    reached = {state: set(steps) for state, steps in TRANSITIONS.items()}

    assert all(reached[state] & FINAL_STATES for state in TRANSITIONS if state not in FINAL_STATES)


def test_a_job_with_a_report_never_moves_again() -> None:
    assert not any(may_move(State.SUCCEEDED, after) for after in State)


def test_a_job_that_ended_without_a_report_moves_to_the_queue_alone() -> None:
    for before in FINAL_STATES - {State.SUCCEEDED}:
        assert [after for after in State if may_move(before, after)] == [State.QUEUED]


def test_a_running_job_may_go_back_to_the_queue() -> None:
    assert may_move(State.RUNNING, State.QUEUED)
    assert not may_move(State.QUEUED, State.SUCCEEDED)


def test_the_stages_weigh_one_together() -> None:
    assert sum(STAGE_WEIGHT.values()) == pytest.approx(1)
    assert set(STAGE_WEIGHT) == set(Stage)


def test_the_fraction_grows_from_stage_to_stage_and_ends_at_one() -> None:
    steps = [overall_fraction(stage, done, 4) for stage in Stage for done in range(5)]

    assert steps == sorted(steps)
    assert steps[0] == 0
    assert steps[-1] == pytest.approx(1)


def test_a_stage_without_steps_does_not_divide_by_zero() -> None:
    assert overall_fraction(Stage.READING, 0, 0) == 0
