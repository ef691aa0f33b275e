import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import wilcoxon

from hilum.errors import ConfigurationError
from hilum.evaluation.comparison import Contender, compare_networks
from hilum.evaluation.comparison_plot import write_plot
from hilum.evaluation.comparison_table import head, lines, page, plain, write_page
from hilum.evaluation.cost import Cost
from hilum.evaluation.evaluate import Look
from tests.hilum.evaluation.chests import RIGHT, control

Make = Callable[..., Look]

COST = Cost(parameters=30_500_000, gflop=41.25, memory_peak_mb=812.4)


@pytest.fixture
def pair(seen: Make) -> list[Contender]:
    """A network that finds all of ten slices, and one with a halo, on each slice a larger one."""
    names = [f"{number:02d}" for number in range(10)]
    exact = [seen(name) for name in names]
    haloed = [_widened(seen(name), number) for number, name in enumerate(names)]
    control = seen("healthy", label=0, certainty=0.0)
    return [
        Contender("exact", "1.0", ("a" * 64,), exact, [control], 0.5, COST),
        Contender("haloed", "2.0", ("b" * 64,), haloed, [control], 0.5, COST),
    ]


def _widened(seen: Look, columns: int) -> Look:
    seen.halves[0, :10, 10 : 10 + columns] = 0.8
    return seen


def test_each_network_is_tested_against_the_first_slice_by_slice(pair: list[Contender]) -> None:
    result = compare_networks(pair, machine="a test")

    dice = np.array([200 / (200 + 10 * number) for number in range(10)])
    (difference,) = result.differences
    assert result.rows[1].dice == pytest.approx(dice)
    assert difference.dice.value == pytest.approx((dice - 1).mean())
    assert difference.dice.low < difference.dice.value < difference.dice.high < 0
    assert difference.p_value == pytest.approx(wilcoxon(dice, np.ones(10)).pvalue)
    assert difference.sentence().endswith("more than chance explains.")


def test_volumes_are_tested_not_their_slices(seen: Make) -> None:
    names = [f"v{number // 5}_{number}" for number in range(20)]
    exact = [seen(name) for name in names]
    haloed = [_widened(seen(name), 1 + number // 5) for number, name in enumerate(names)]
    pair = [
        Contender(each, "1", (), looks, [], 0.5, COST)
        for each, looks in (("exact", exact), ("haloed", haloed))
    ]

    (difference,) = compare_networks(pair, machine="a test").differences

    # Four volumes, all for the first: as unlikely as four coins, both ways.
    assert difference.p_value == pytest.approx(2 / 2**4)
    assert difference.sentence().endswith("within chance.")


def test_all_are_judged_on_the_controls_that_none_has_learnt(pair: list[Contender]) -> None:
    ill, clean = control("ill", RIGHT), control("clean")
    learner = replace(pair[0], controls=[clean])
    other = replace(pair[1], controls=[ill, clean])

    result = compare_networks([learner, other], machine="a test")

    assert [row.evaluation.controls for row in result.rows] == [1, 1]
    assert [row.evaluation.control_share.value for row in result.rows] == [0, 0]


def test_networks_that_see_the_same_do_not_differ(pair: list[Contender]) -> None:
    result = compare_networks([pair[0], replace(pair[0], name="twin")], machine="a test")

    assert (result.differences[0].dice.value, result.differences[0].p_value) == (0, 1)
    assert "within chance" in result.differences[0].sentence()


def test_networks_that_saw_other_slices_cannot_be_compared(pair: list[Contender]) -> None:
    fewer = replace(pair[1], looks=pair[1].looks[1:])

    with pytest.raises(ConfigurationError, match="haloed: slices 00 were not seen by every"):
        compare_networks([pair[0], fewer], machine="a test")


def test_slices_in_another_order_would_make_false_pairs(pair: list[Contender]) -> None:
    turned = replace(pair[1], looks=pair[1].looks[::-1])

    with pytest.raises(ConfigurationError, match="in the same order"):
        compare_networks([pair[0], turned], machine="a test")


def test_the_table_has_the_figures_of_the_paper_side_by_side(pair: list[Contender]) -> None:
    result = compare_networks(pair, machine="a test")

    table = {title: cells for title, *cells in lines(result)}

    assert head(result) == ("", "exact 1.0", "haloed 2.0")
    assert table["F1, pooled pixels"][0] == "1.000 (1.000 to 1.000)"
    assert table["AP50, lesions"][0].startswith("1.000")
    assert table["seconds a slice"][1].startswith("0.100")
    assert table["peak memory, MiB"] == ["812", "812"]
    assert table["parameters, millions"] == ["30.5", "30.5"]
    assert table["GFLOP a slice"] == ["41.2", "41.2"]
    # Masks of one class have no figures of classes.
    assert "Dice, consolidation" not in table


def test_slices_that_a_network_has_learnt_are_told_of_everywhere(pair: list[Contender]) -> None:
    result = compare_networks([pair[0], replace(pair[1], learnt=["00", "03"])], machine="a test")

    warning = "haloed has learnt 2 of these 10 slices"
    assert json.loads(json.dumps(plain(result)))["warnings"][0].startswith(warning)
    assert f"> **Warning:** {warning}" in page(result)
    assert plain(result)["rows"][1]["learnt"] == ("00", "03")


def test_a_page_shows_table_test_and_picture(pair: list[Contender], tmp_path: Path) -> None:
    result = compare_networks(pair, machine="a test", out_of_fold=True)

    plot = write_plot(result, tmp_path / "networks")
    text = write_page(result, tmp_path / "networks").read_text()

    assert "10 labelled slices, out of fold, each slice by a run that did not learn it" in text
    assert "|  | exact 1.0 | haloed 2.0 |" in text
    assert f"- {result.differences[0].sentence()}" in text
    assert f"({plot.name})" in text
    assert "Warning" not in text
    with Image.open(plot) as picture:
        assert picture.size == (1100, 495)
        assert len(picture.getcolors(2**20) or []) > 50
