import re

import pytest
from pydantic_core import PydanticUndefined

from hilum.settings import Settings
from tests.docs.places import ROOT, read

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")


def default_of(name: str) -> str:
    default = Settings.model_fields[name].default
    if default is PydanticUndefined:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_its_row_with_default_and_sentence(name: str) -> None:
    default = default_of(name)
    shown = f"`{default}`" if default else "none"

    description = Settings.model_fields[name].description

    assert f"| `HILUM_{name.upper()}` | {shown} | {description} |" in read("settings.md")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_example_environment_has_every_setting_with_default_and_sentence(name: str) -> None:
    description = re.escape(str(Settings.model_fields[name].description))
    line = re.escape(f"HILUM_{name.upper()}={default_of(name)}")

    assert re.search(rf"^# {description}\n(# )?{line}$", EXAMPLE, re.MULTILINE)


def test_the_example_environment_names_nothing_that_is_no_setting() -> None:
    named = set(re.findall(r"\bHILUM_([A-Z_]+)", EXAMPLE))

    assert named == {name.upper() for name in Settings.model_fields}


def test_no_document_names_a_setting_that_does_not_exist() -> None:
    known = {name.upper() for name in Settings.model_fields} | {"API_URL", "API_KEY"}
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]

    for path in documents:
        named = set(re.findall(r"\bHILUM_([A-Z_]*[A-Z])\b", path.read_text(encoding="utf-8")))
        assert named <= known, path.name
