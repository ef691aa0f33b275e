import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import LesionRCNN, Segmenter
from hilum.training.data import picture_paths, read_gray
from hilum.training.layouts import read_examples
from hilum.training.pseudo import blend, by_volume, stretch, write_pseudo_labels
from hilum.training.validation import IN_TRAINING
from hilum.volume import apply_window

Writer = Callable[..., Path]


def _chest(window_hu: tuple[float, float]) -> NDArray[np.float32]:
    """Lung, fat, muscle and bone in the shares of a lung crop, a little noisy."""
    parts = np.repeat([-870, -100, 50, 700], [5000, 1000, 3000, 600])
    noisy = parts + np.random.default_rng(0).normal(0, 15, len(parts))
    return apply_window(noisy.astype(np.int16).reshape(96, 100), window_hu)


def test_a_picture_in_a_lung_window_stays_as_it_is() -> None:
    assert stretch([_chest((-1250, 250))]) == 1.0


def test_a_picture_in_a_wide_window_is_stretched_until_tissue_lies_where_it_should() -> None:
    gray = _chest((-1250, 2350))

    stretched = np.clip(gray * stretch([gray]), 0, 1)

    counts = np.bincount(np.rint(stretched[stretched < 1] * 255).astype(int))
    assert 120 + int(np.argmax(counts[120:])) == pytest.approx(204, abs=6)


def test_no_volume_of_the_shared_slices_needs_its_name_to_be_told(shared_data: Path) -> None:
    volumes = by_volume(picture_paths(shared_data / "ct-lesions/unlabelled/images"))

    factors = {name: stretch(read_gray(path) for path in volumes[name][::8]) for name in volumes}

    assert len(factors) == 20
    for name, factor in factors.items():
        # Ten come in a window three times as wide as the other ten's.
        assert 1.9 < factor < 2.6 if name.startswith("coronacases") else factor == 1, name


def test_a_second_opinion_lifts_doubt_and_dampens_certainty() -> None:
    probabilities = np.zeros((2, 1, 4), np.float32)
    probabilities[0, 0] = [0.30, 0.30, 0.80, 0.70]
    probabilities[1, 0] = [0.00, 0.00, 0.00, 0.00]
    opinion = np.array([[1, 0, 0, 0]], np.float32)

    assert blend(probabilities, opinion).tolist() == [[1, 0, 1, 0]]
    assert blend(probabilities, None).tolist() == [[0, 0, 1, 1]]


def test_the_class_is_the_networks_own() -> None:
    probabilities = np.array([[[0.1, 0.4]], [[0.2, 0.3]]], np.float32)

    assert blend(probabilities, np.ones((1, 2), np.float32)).tolist() == [[2, 1]]


def test_labelled_slices_can_be_learnt_from(
    tmp_path: Path, write_slices: Writer, network: LesionRCNN
) -> None:
    source = write_slices(tmp_path / "in", ["v_0", "v_1"])
    (source / "masks").rename(source / "pseudo_masks")
    # A network that is certain of a consolidation everywhere.
    network.dense_head.scores.bias.data.copy_(network.dense_head.scores.bias.new_tensor([0, 0, 99]))
    seen: list[str] = []

    count = write_pseudo_labels(
        source,
        tmp_path / "out",
        [Segmenter(network, replace(IN_TRAINING, sha256="ab" * 32), device="cpu")],
        lambda one: seen.append(one.name),
    )

    assert (count, seen) == (2, ["v_0", "v_1"])
    assert json.loads((tmp_path / "out" / "pseudo.json").read_text()) == {
        "teachers": [{"name": "in-training", "version": "0", "sha256": "ab" * 32}],
        "slices": 2,
        "second_opinions": 2,
    }
    examples = read_examples(tmp_path / "out")
    assert [one.name for one in examples] == ["v_0", "v_1"]
    # Half of the networks' certainty is the dense branch's: with the opinion it makes a lesion.
    assert set(np.unique(examples[0].labels[12:18, 14:26])) == {2}
    assert not examples[0].labels[25:, 35:].any()


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no pictures in images/"):
        write_pseudo_labels(tmp_path, tmp_path / "out", [])


@pytest.mark.parametrize("part", ["images", "masks"])
def test_nothing_is_ever_written_over(tmp_path: Path, write_slices: Writer, part: str) -> None:
    source, out = write_slices(tmp_path / "in", ["v_0"]), tmp_path / "out"
    (out / part).mkdir(parents=True)
    (out / part / "v_0.png").write_bytes(b"a radiologist's")

    with pytest.raises(ConfigurationError, match=rf"out/{part}: 1 files, expected none"):
        write_pseudo_labels(source, out, [])

    assert (out / part / "v_0.png").read_bytes() == b"a radiologist's"


def test_labels_do_not_go_into_the_data_themselves(tmp_path: Path, write_slices: Writer) -> None:
    source = write_slices(tmp_path / "in", ["v_0"])

    with pytest.raises(ConfigurationError, match="in/images: 1 files, expected none"):
        write_pseudo_labels(source, tmp_path / "else" / ".." / "in", [])


def test_two_pictures_of_one_name_are_refused(tmp_path: Path, write_slices: Writer) -> None:
    source = write_slices(tmp_path / "in", ["v_0"])
    Image.new("L", (48, 40)).save(source / "images" / "v_0.jpg")

    with pytest.raises(ConfigurationError, match="2 pictures are called v_0, expected one"):
        write_pseudo_labels(source, tmp_path / "out", [])


def test_an_opinion_of_another_size_is_brought_to_the_slice(
    tmp_path: Path, write_slices: Writer, network: LesionRCNN
) -> None:
    source = write_slices(tmp_path / "in", ["v_0"])
    (source / "pseudo_masks").mkdir()
    Image.new("1", (24, 20), 1).save(source / "pseudo_masks" / "v_0.png")

    write_pseudo_labels(source, tmp_path / "out", [Segmenter(network, IN_TRAINING, device="cpu")])

    (example,) = read_examples(tmp_path / "out")
    assert example.labels.shape == (40, 48)
