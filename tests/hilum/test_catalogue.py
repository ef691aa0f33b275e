"""What may be asked for, and the sentence when it may not."""

import pytest

from hilum.catalogue import CT_LESIONS, PIPELINES, network_name, pipeline_card
from hilum.errors import UnknownNetwork, UnknownPipeline


def test_a_pipeline_is_found_by_its_name() -> None:
    assert pipeline_card("ct-lesions") is CT_LESIONS


def test_an_unknown_pipeline_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownPipeline, match="'ct-hearts'; there is ct-lesions"):
        pipeline_card("ct-hearts")


def test_no_network_asked_for_means_the_first() -> None:
    assert network_name(CT_LESIONS, None) == "resnet50"
    assert network_name(CT_LESIONS, "resnet101") == "resnet101"


def test_an_unknown_network_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownNetwork, match="'vgg'; it has resnet50, resnet101"):
        network_name(CT_LESIONS, "vgg")


def test_labels_of_a_pipeline_are_distinct_in_number_name_and_code() -> None:
    for card in PIPELINES.values():
        for attribute in ("value", "name", "code", "color"):
            values = [getattr(label, attribute) for label in card.labels]
            assert len(set(values)) == len(values)
