import pytest

from hilum.errors import ConfigurationError
from hilum.research import need


def test_a_package_that_is_there_is_imported() -> None:
    assert need("json").dumps([1]) == "[1]"


def test_a_package_that_is_missing_is_named_with_what_installs_it() -> None:
    with pytest.raises(ConfigurationError, match=r"no_such_package: .*hilum\[research\]"):
        need("no_such_package.part")
