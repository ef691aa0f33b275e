import logging
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from hilum.dicom.quiet import quiet


def test_warnings_inside_are_silent_and_outside_are_heard() -> None:
    with quiet():
        warnings.warn("inside", stacklevel=1)

    with pytest.warns(UserWarning, match="outside"):
        warnings.warn("outside", stacklevel=1)


def test_threads_together_leave_the_filters_as_they_were() -> None:
    before = list(warnings.filters)

    def warn() -> None:
        with quiet():
            warnings.warn("inside", stacklevel=1)

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(warn) for _ in range(200)]:
            future.result()

    assert list(warnings.filters) == before


def test_log_of_pydicom_which_quotes_headers_is_off() -> None:
    assert not logging.getLogger("pydicom").isEnabledFor(logging.CRITICAL)
