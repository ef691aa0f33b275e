import re

import click
import pytest

from cli.main import COMMANDS, hilum
from tests.docs.places import headings, read


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_heading(name: str) -> None:
    assert f"`hilum {name}`" in headings("cli.md")


def test_no_heading_is_about_a_command_that_is_gone() -> None:
    documented = {heading.strip("`") for heading in headings("cli.md") if "hilum " in heading}

    assert documented == {f"hilum {name}" for name in COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_named(name: str) -> None:
    section = re.split(r"^### ", read("cli.md"), flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(f"`hilum {name}`"))
    command = hilum.get_command(click.Context(hilum), name)

    options = {
        option
        for parameter in parameters(command)
        if isinstance(parameter, click.Option)
        for option in parameter.opts
        if option not in {"--help", "--url"}
    }

    assert [option for option in sorted(options) if option not in text] == []


def parameters(command: click.Command | None) -> list[click.Parameter]:
    assert command is not None
    if isinstance(command, click.Group):
        return [each for sub in command.commands.values() for each in sub.params]
    return command.params
