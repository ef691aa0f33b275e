# SPDX-License-Identifier: Apache-2.0
"""`hilum jobs`: what may be done with jobs that are there, one or many."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, Final

import click
from rich.table import Table

from cli.client import Client
from cli.connection import with_client
from cli.follow import JobFailed
from cli.terminal import narrate, out
from hilum.jobs import Priority, State

AT_ONCE: Final = 100
"""Jobs of one call: a server does them one after the other, and should answer in seconds."""

PRIORITY: Final = click.Choice([each.value for each in Priority])

FILTERS: Final[Mapping[str, str]] = {
    "state": "state",
    "code": "error_code",
    "priority": "priority",
    "network": "network",
    "study": "study_id",
    "batch": "batch_id",
    "since": "created_from",
    "until": "created_to",
}
"""Options that choose jobs, and what the server calls them."""

Document = Mapping[str, Any]


def choosing(wish_of: Callable[..., Document]) -> Callable[..., None]:
    """Make a command, of what returns its wish, with ids and options that choose the jobs."""

    @click.argument("job_ids", nargs=-1)
    @click.option("--state", type=click.Choice([each.value for each in State]), help="In it.")
    @click.option("--code", help="Ended with this error code.")
    @click.option("--priority", type=PRIORITY, help="Of this priority.")
    @click.option("--network", help="By this network, NAME or NAME@VERSION.")
    @click.option("--study", help="Of the study with this id.")
    @click.option("--batch", help="In the batch with this id.")
    @click.option("--since", help="Submitted at this time or later, as 2026-11-22T08:00.")
    @click.option("--until", help="Submitted before this time.")
    @click.option("--yes", is_flag=True, help="Do not ask, however many they are.")
    @click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
    @with_client
    @wraps(wish_of)
    def command(
        client: Client,
        /,
        job_ids: tuple[str, ...],
        *,
        yes: bool,
        as_json: bool,
        **options: Any,
    ) -> None:
        chosen = {FILTERS[name]: options.pop(name) for name in FILTERS}
        given = {name: value for name, value in chosen.items() if value is not None}
        if bool(job_ids) == bool(given):
            raise click.UsageError("Give either ids of jobs, or options that choose them.")
        wish = wish_of(**options)
        if job_ids:
            answers = _do_with_these(client, wish, job_ids)
        else:
            answers = _do_with_chosen(client, {**wish, "filter": given}, is_sure=yes)
        _tell(list(answers), wish, as_json=as_json)

    return command


@click.group(short_help="Cancel, retry, prioritise, rerun or regrade jobs.")
def jobs() -> None:
    """Do something with jobs: those whose ids are given, or all that the options choose."""


@jobs.command()
@choosing
def cancel() -> Document:
    """Cancel jobs that wait, and ask those that run to stop."""
    return {"action": "cancel"}


@jobs.command()
@choosing
def retry() -> Document:
    """Try jobs again that failed, were cancelled or are quarantined."""
    return {"action": "retry"}


@jobs.command()
@click.option("--as", "wanted", type=PRIORITY, required=True, help="How urgent they are to be.")
@choosing
def prioritise(wanted: str) -> Document:
    """Make jobs that wait more or less urgent."""
    return {"action": "prioritise", "priority": wanted}


@jobs.command()
@click.option("--with", "by", metavar="NETWORK", help="The server's usual network if not given.")
@click.option("--as", "wanted", type=PRIORITY, help="How urgent; as the job was if not given.")
@choosing
def rerun(by: str | None, wanted: str | None) -> Document:
    """Run the studies of jobs again, by another network."""
    named = {"network": by, "priority": wanted}
    given = {name: value for name, value in named.items() if value is not None}
    return {"action": "rerun", **given}


@jobs.command()
@click.option("--thresholds", metavar="VERSION", help="The server's present ones if not given.")
@choosing
def regrade(thresholds: str | None) -> Document:
    """Grade the reports of jobs by other thresholds."""
    return {"action": "regrade"} | ({"thresholds": thresholds} if thresholds else {})


def _do_with_these(client: Client, wish: Document, job_ids: Sequence[str]) -> Iterator[Document]:
    for start in range(0, len(job_ids), AT_ONCE):
        some = list(job_ids[start : start + AT_ONCE])
        yield client.post("/v1/jobs/actions", {**wish, "job_ids": some})


def _do_with_chosen(client: Client, asked: Document, *, is_sure: bool) -> Iterator[Document]:
    count = client.post("/v1/jobs/actions", {**asked, "limit": 0})["left"]
    if count and not is_sure:
        click.confirm(f"{asked['action'].capitalize()} {count} jobs?", abort=True, err=True)
    cursor: dict[str, str] = {}
    while count:
        answer = client.post("/v1/jobs/actions", {**asked, **cursor, "limit": AT_ONCE})
        yield answer
        if answer["next_cursor"] is None:
            return
        narrate(f"{answer['left']} are left.")
        cursor = {"cursor": answer["next_cursor"]}


def _tell(answers: Sequence[Document], wish: Document, *, as_json: bool) -> None:
    """Say what was done.

    Raises:
        JobFailed: some jobs were refused.
    """
    done, made, refused = (
        [one for answer in answers for one in answer[name]] for name in ("done", "made", "refused")
    )
    if as_json:
        click.echo(json.dumps({"done": done, "made": made, "refused": refused}, indent=2))
    else:
        for job_id in made or done:
            out.print(job_id, soft_wrap=True)
        if refused:
            out.print(_table(refused))
    narrate(f"{wish['action'].capitalize()}: {len(done)} done, {len(refused)} refused.")
    if refused:
        raise JobFailed(f"{len(refused)} of {len(done) + len(refused)} jobs were refused.")


def _table(refused: Sequence[Document]) -> Table:
    table = Table("refused", "code", "why", box=None)
    for one in refused:
        table.add_row(one["id"], one["code"], one["message"])
    # An id that is folded cannot be copied.
    table.columns[0].no_wrap = True
    return table
