"""The error tree is a contract: codes are stable, unique, and drawn where people look."""

from collections import Counter
from collections.abc import Iterator

import hilum.errors
from hilum.errors import ConfigurationError, HilumError, InputError, TransientError, ZipBomb


def every(kind: type[HilumError]) -> Iterator[type[HilumError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from every(child)


def test_every_code_names_one_class() -> None:
    codes = Counter(kind.code for kind in every(HilumError))

    assert [code for code, count in codes.items() if count > 1] == []


def test_every_class_belongs_to_one_of_three_families() -> None:
    families = (InputError, TransientError, ConfigurationError)

    assert HilumError.__subclasses__() == list(families)


def test_the_tree_at_the_top_of_the_file_draws_every_class() -> None:
    drawn = hilum.errors.__doc__ or ""

    assert [kind.__name__ for kind in every(HilumError) if kind.__name__ not in drawn] == []


def test_an_error_without_a_sentence_speaks_by_its_title() -> None:
    assert ZipBomb().message == "The zip archive unpacks to more than its limits allow."
    assert ZipBomb("9 GiB, expected at most 1 GiB.").message == "9 GiB, expected at most 1 GiB."
