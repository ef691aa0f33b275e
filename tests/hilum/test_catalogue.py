"""What may be asked for, and the sentence when it may not."""

import pytest

from hilum.catalogue import CT_LESIONS, PIPELINES, pipeline_card
from hilum.errors import UnknownPipeline


def test_a_pipeline_is_found_by_its_name() -> None:
    assert pipeline_card("ct-lesions") is CT_LESIONS


def test_an_unknown_pipeline_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownPipeline, match="'ct-hearts'; there is ct-lesions"):
        pipeline_card("ct-hearts")


def test_labels_of_a_pipeline_are_distinct_in_number_name_and_code() -> None:
    for card in PIPELINES.values():
        for attribute in ("value", "name", "code", "color"):
            values = [getattr(label, attribute) for label in card.labels]
            assert len(set(values)) == len(values)
