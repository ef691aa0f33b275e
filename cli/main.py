# SPDX-License-Identifier: Apache-2.0
"""The `hilum` command: a table of subcommands, each loaded when it is called for."""

import importlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import click
from typing_extensions import override

from hilum import __version__
from hilum.errors import ConfigurationError, HilumError

SECTIONS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "Try it": {
        "demo": ("cli.demo:demo", "Start everything, send a study and show its report."),
        "serve": ("cli.serve:serve", "Run the whole system on this machine."),
        "segment": ("cli.segment:segment", "Analyse a study or one slice without a server."),
        "phantom": (
            "cli.phantom:phantom",
            "Write a synthetic chest CT with known lesions as DICOM.",
        ),
    },
    "Talk to a server": {
        "send": ("cli.send:send", "Send studies and follow their jobs."),
        "status": ("cli.status:status", "Show where jobs stand."),
        "jobs": ("cli.jobs:jobs", "Cancel, retry, prioritise, rerun or regrade jobs."),
        "report": ("cli.report:report", "Show or save the report of a job."),
    },
    "Run a server": {
        "api": ("cli.api:api", "Run the web server."),
        "worker": ("cli.worker:worker", "Run a worker: one process for each GPU."),
        "dimse": ("cli.dimse:dimse", "Run the DICOM service that scanners send to."),
        "courier": ("cli.courier:courier", "Send results to archives, and news to servers."),
        "beat": ("cli.beat:beat", "Take back and ring for lost jobs; one for all workers."),
        "migrate": ("cli.migrate:migrate", "Bring the database schema up to date."),
        "doctor": ("cli.doctor:doctor", "Check the settings and everything they name."),
    },
    "Keep order": {
        "tenants": ("cli.tenants:tenants", "Add and list the hospitals that may send studies."),
        "keys": ("cli.keys:keys", "Make and revoke API keys."),
        "users": ("cli.users:users", "Say who may look at the pages, and what they may do there."),
        "titles": ("cli.titles:titles", "Add and remove the titles that scanners call by DICOM."),
        "destinations": (
            "cli.destinations:destinations",
            "Name the archives that results are sent to.",
        ),
        "webhooks": ("cli.webhooks:webhooks", "Name the servers that are told how jobs ended."),
        "audit": ("cli.audit:audit", "Show who did what, and whether anybody changed that since."),
        "purge": ("cli.purge:purge_", "Remove studies for good, and prove it."),
        "workers": ("cli.workers:workers", "List and drain the processes that run jobs."),
        "queue": ("cli.queue:queue", "Show, pause and resume the queue."),
        "thresholds": ("cli.thresholds:thresholds", "List, add and choose the cuts behind grades."),
        "regrade": ("cli.regrade:regrade", "Grade kept reports anew, without a GPU."),
        "deidentify": ("cli.deidentify:deidentify", "Write studies without their patients."),
        "openapi": ("cli.openapi:openapi", "Print the description of the HTTP API."),
    },
    "Networks": {
        "train": ("cli.train:train", "Train a network on labelled slices."),
        "pseudo-label": (
            "cli.pseudo:pseudo_label",
            "Let trained networks label slices to learn from.",
        ),
        "weights": ("cli.weights:weights", "List, verify and import networks."),
        "evaluate": ("cli.evaluate:evaluate", "Measure a network on slices it has not seen."),
        "compare": ("cli.compare:compare", "Compare networks on the same slices."),
        "release": ("cli.release:release", "Pack a trained network and write its card."),
    },
}
"""Every command: where it lives, and its one sentence, so that help loads none of them."""

COMMANDS: Final = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Refusal(click.ClickException):
    """A Hilum error on its way to the person at the terminal."""

    def __init__(self, error: HilumError) -> None:
        super().__init__(error.message)
        self.code = error.code

    def format_message(self) -> str:
        """Return the sentence and its stable code."""
        return f"{self.message} [{self.code}]"


class Misconfigured(Refusal):
    """A refusal that the settings must be mended for."""

    exit_code: ClassVar[int] = 2


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is called: help stays fast and loads no torch."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every name, in the order of the sections."""
        return list(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections from the table alone."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])

    @override
    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; an error Hilum can name becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except HilumError as error:
            refusal = Misconfigured if isinstance(error, ConfigurationError) else Refusal
            raise refusal(error) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hilum", message="%(prog)s %(version)s")
def hilum() -> None:
    """Segment, measure and grade chest-CT studies.

    Exit status: 0 done; 1 the study, the job or the server failed; 2 wrong usage or settings.
    """


def main() -> None:
    """Run the command of this process."""
    hilum(prog_name="hilum")
