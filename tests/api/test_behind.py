import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from api.behind import MOST, Behind


@pytest.fixture
def behind() -> Iterator[Behind]:
    with closing(Behind()) as behind:
        yield behind


def test_things_are_done_in_their_order(behind: Behind) -> None:
    done: list[int] = []

    for number in range(10 * MOST):
        behind.do(done.append, number)
    behind.finish()

    assert done == list(range(10 * MOST))


def test_no_more_waits_than_memory_is_meant_to_hold(behind: Behind) -> None:
    gate = threading.Event()
    behind.do(gate.wait)
    for _ in range(MOST - 1):
        behind.do(int)
    one_more = threading.Thread(target=behind.do, args=(int,))

    one_more.start()
    one_more.join(0.2)
    held_back = one_more.is_alive()
    gate.set()
    one_more.join()

    assert held_back


def test_what_goes_wrong_is_heard_of_at_the_end(behind: Behind) -> None:
    behind.do(int, "seven")

    with pytest.raises(ValueError, match="seven"):
        behind.finish()


def test_what_goes_wrong_is_heard_of_while_more_is_given(behind: Behind) -> None:
    def give() -> None:
        for _ in range(MOST + 1):
            behind.do(int, "seven")

    with pytest.raises(ValueError, match="seven"):
        give()
