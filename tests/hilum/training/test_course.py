import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import LesionRCNN
from hilum.training import course as module
from hilum.training.course import Course, train
from hilum.training.curve import Curve
from hilum.training.data import Example
from hilum.training.engine import Step, write
from hilum.training.material import Examples, Material
from hilum.training.recipe import Recipe
from hilum.training.run import load_trained, read_run

TINY = Recipe("tiny", "resnet50", steps=4, batch=1, side_px=64, warmup_steps=1, control_share=0.3)


class PowerCut(Exception):
    """Ends a run between two steps."""


@pytest.fixture
def course(blob: Callable[..., Example], network: LesionRCNN, tmp_path: Path) -> Course:
    """Four steps on three slices, from weights that lie beside."""
    write(network, tmp_path / "start.safetensors")
    lesions = [blob("a", shape=(64, 64)), blob("b", shape=(48, 64), label=2)]
    material = Material(Examples(lesions, [blob("c", label=0)]), Examples([], []), ("folder",))
    return Course(
        TINY, material, tmp_path / "runs", weights=tmp_path / "start.safetensors", device="cpu"
    )


def _cut_after(number: int) -> Callable[[Step, float | None], None]:
    def watch(step: Step, _: float | None) -> None:
        # The checkpoint of a step is written after it was watched, so the next one is cut.
        if step.number == number + 1:
            raise PowerCut

    return watch


def test_a_run_cut_short_ends_with_the_weights_of_one_that_was_not(course: Course) -> None:
    straight = load_file(train(course))
    broken = dataclasses.replace(course, out=course.out / "broken", checkpoint_every=2)
    with pytest.raises(PowerCut):
        train(broken, _cut_after(2))
    seen: list[int] = []

    resumed = load_file(train(broken, lambda step, _: seen.append(step.number)))

    assert seen == [3, 4]
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(straight[key], resumed[key]) for key in straight)
    before = load_file(course.weights or Path())
    assert any(not torch.equal(straight[key], before[key]) for key in straight)


def test_the_curve_of_a_resumed_run_has_each_step_once(course: Course) -> None:
    course = dataclasses.replace(course, checkpoint_every=2)
    with pytest.raises(PowerCut):
        train(course, _cut_after(2))

    train(course)

    rows = Curve.read(course.file("csv"), steps=TINY.steps).rows
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert course.file("png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_run_leaves_weights_record_and_curve_alone(course: Course) -> None:
    weights = train(dataclasses.replace(course, checkpoint_every=1))

    assert weights == course.file("safetensors")
    names = sorted(path.name for path in course.out.iterdir())
    assert names == ["tiny.csv", "tiny.png", "tiny.run.json", "tiny.safetensors"]
    run = read_run(weights)
    assert run.recipe == TINY
    assert (run.learnt, run.learnt_controls) == (("a", "b"), ("c",))
    assert (run.steps_made, run.fold, run.sources) == (4, None, ("folder",))
    assert run.seconds_per_step > 0
    assert run.memory_peak_mb > 100
    assert run.start.startswith("start.safetensors, SHA-256 ")


def test_a_checkpoint_of_another_run_is_refused_and_says_in_what(course: Course) -> None:
    course = dataclasses.replace(course, checkpoint_every=1)
    with pytest.raises(PowerCut):
        train(course, _cut_after(1))
    other = dataclasses.replace(course, recipe=dataclasses.replace(TINY, steps=9))

    with pytest.raises(ConfigurationError, match="another run, which differs in recipe; expected"):
        train(other)


def test_a_damaged_checkpoint_is_refused(course: Course) -> None:
    course.out.mkdir()
    course.checkpoint.write_bytes(b"half a file")

    with pytest.raises(ConfigurationError, match=r"tiny.checkpoint: not a readable checkpoint"):
        train(course)


def test_slices_held_out_are_looked_at_when_due_and_at_the_end(
    course: Course, blob: Callable[..., Example]
) -> None:
    recipe = dataclasses.replace(TINY, steps=3, validate_every=2)
    held_out = Examples([blob("x")], [])
    material = dataclasses.replace(course.material, held_out=held_out, fold=1)
    course = dataclasses.replace(course, recipe=recipe, material=material)
    looks: dict[int, float | None] = {}

    weights = train(course, lambda step, dice: looks.update({step.number: dice}))

    assert weights.name == "tiny-fold-1.safetensors"
    assert [number for number, dice in looks.items() if dice is not None] == [2, 3]
    assert all(0 <= dice <= 1 for dice in looks.values() if dice is not None)
    assert read_run(weights).held_out == ("x",)


def test_a_recipe_goes_on_from_the_finished_run_of_the_one_it_names(course: Course) -> None:
    train(course)
    second = dataclasses.replace(TINY, name="second", start="tiny", steps=1)

    weights = train(dataclasses.replace(course, recipe=second, weights=None))

    assert read_run(weights).start.startswith("tiny.safetensors, SHA-256 ")


def test_a_recipe_whose_start_has_not_ended_is_refused(course: Course) -> None:
    second = dataclasses.replace(TINY, name="second", start="tiny")
    course.out.mkdir()
    course.file("safetensors").touch()

    with pytest.raises(ConfigurationError, match=r"expected tiny.safetensors with tiny.run.json"):
        train(dataclasses.replace(course, recipe=second, weights=None))


def test_without_earlier_weights_a_run_begins_on_the_backbone(
    course: Course, network: LesionRCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The backbone is 235 MB in packages of its own; its own tests read it.
    monkeypatch.setattr(module.engine, "start", lambda *_: network)
    recipe = dataclasses.replace(TINY, steps=1)

    weights = train(dataclasses.replace(course, recipe=recipe, weights=None))

    assert read_run(weights).start == "the chest-CT backbone"


def test_the_weights_of_a_run_can_be_looked_through(course: Course) -> None:
    weights = train(dataclasses.replace(course, recipe=dataclasses.replace(TINY, steps=1)))

    segmenter = load_trained(weights, device="cpu")

    (detections,) = segmenter.predict(course.material.learnt.lesions[0].image[None])
    assert detections.dense.shape == (2, 64, 64)
    assert segmenter.info.name == "tiny"
