"""Detections made by hand."""

import numpy as np

from hilum.networks.detections import Detections


def detections(
    boxes: list[tuple[int, int, int, int]],
    scores: list[float],
    labels: list[int],
    shape: tuple[int, int] = (20, 20),
) -> Detections:
    """Make detections whose masks fill their boxes."""
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        labels=np.array(labels, np.int64),
        masks=np.ones((len(boxes), 28, 28), np.float32),
        dense=np.zeros((2, *shape), np.float32),
    )
