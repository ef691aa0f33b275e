from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hilum.cards import Card, read_card
from hilum.errors import ConfigurationError
from hilum.evaluation import release as module
from hilum.evaluation.evaluate import Evaluation, Look
from hilum.evaluation.release import Order, check_packing, release
from hilum.networks.weights import load_path
from tests.hilum.evaluation.runs import NAMES, lesion_slice


@pytest.fixture(scope="module")
def order(runs: Path) -> Order:
    """Three labelled slices, each held out by one of two fold runs, and two controls."""
    return Order(
        recipe="tiny",
        runs=runs,
        version="1.2.3",
        labelled=[lesion_slice(name) for name in (*NAMES, "unknown")],
        controls=[lesion_slice(name, ill=False) for name in ("healthy", "known")],
        device="cpu",
    )


@pytest.fixture(scope="module")
def released(
    order: Order, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Card, Evaluation, list[str]]:
    """The weights, their card, the figures, and the slices looked at on the way."""
    folder = tmp_path_factory.mktemp("released") / "new"
    looked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        # What an untrained network finds hangs on the last bit of its weights.
        patch.setattr(module, "DICE_LOST_MAX", 1.0)
        card, evaluation = release(order, folder, lambda one: looked.append(one.name))
    return folder / "maskrcnn-tiny.safetensors", card, evaluation, looked


Released = tuple[Path, Card, Evaluation, list[str]]


def test_a_release_can_be_loaded_and_cuts_where_it_was_judged(released: Released) -> None:
    path, card, evaluation, _ = released

    segmenter = load_path(path, device="cpu")

    assert segmenter.info.operating_point == card.operating_point == evaluation.threshold
    assert segmenter.info.sha256 == card.sha256
    assert card == read_card(path)
    assert card.version == "1.2.3"


def test_slices_are_judged_out_of_fold_twice_and_controls_once(released: Released) -> None:
    _, card, evaluation, looked = released

    assert looked == [*NAMES, *NAMES, "healthy"]
    assert (evaluation.slices, evaluation.controls) == (3, 1)
    assert [(fold["fold"], fold["slices"]) for fold in card.metrics["folds"]] == [(0, 2), (1, 1)]


def test_a_card_has_every_figure_and_none_of_the_machine(released: Released) -> None:
    _, card, _, _ = released

    assert {"dice", "dice_cross_fitted", "dice_float32", "lesions", "share"} <= set(card.metrics)
    assert "seconds_per_slice" not in card.metrics


def test_what_packing_costs_is_measured_and_too_much_is_refused(seen: Callable[..., Look]) -> None:
    plain, haloed = [seen("a"), seen("b")], [seen("a"), seen("b", halo=0.6)]

    assert check_packing(haloed, plain, 0.7) == 0
    assert check_packing(plain, haloed, 0.5) == pytest.approx(200 / 250 / 2 - 1 / 2)
    with pytest.raises(
        ConfigurationError, match=r"lose 0\.1000 of mean Dice at 0\.50, expected at"
    ):
        check_packing(haloed, plain, 0.5)


def test_nothing_is_written_of_weights_that_packing_spoils(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DICE_LOST_MAX", -1)

    with pytest.raises(ConfigurationError, match="expected at most -1"):
        release(order, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_card_says_where_the_weights_come_from(released: Released) -> None:
    _, card, _, _ = released

    assert [stage["steps_made"] for stage in card.recipe["stages"]] == [7]
    assert card.data["learnt"] == list(NAMES)
    assert card.data["held_out_controls"] == ["healthy"]
    assert card.licences["ward"] == "not stated"
    assert "/somewhere" not in str(card)
    assert any("8-bit pictures" in limit for limit in card.limits)
    assert any("1 of 4 slices with lesions" in limit for limit in card.limits)


def test_controls_that_the_run_learnt_cannot_stand_for_unseen_ones(
    order: Order, tmp_path: Path
) -> None:
    learnt = replace(order, controls=order.controls[1:])

    with pytest.raises(ConfigurationError, match="held out none of 1 controls"):
        release(learnt, tmp_path)


def test_a_recipe_without_a_finished_run_is_refused(order: Order, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.run\.json: no readable record"):
        release(replace(order, recipe="absent"), tmp_path)
