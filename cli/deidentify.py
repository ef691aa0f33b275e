# SPDX-License-Identifier: Apache-2.0
"""`hilum deidentify`: studies without their patients, for those who may not know them."""

import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import reduce
from pathlib import Path
from secrets import token_bytes, token_hex
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
from rich.table import Table

from cli.terminal import narrate
from cli.terminal import out as results
from hilum.archive import DEFAULT_LIMITS, unpack
from hilum.dicom.deidentify import Deidentifier, Export, Option, deidentify_files
from hilum.errors import NoDicom, NotDeidentifiable

DATES: Final = {
    "shifted": {Option.RETAIN_MODIFIED_DATES},
    "full": {Option.RETAIN_FULL_DATES},
    "removed": set[Option](),
}

RETAINABLE: Final = {
    "patient": Option.RETAIN_PATIENT,
    "device": Option.RETAIN_DEVICE,
    "institution": Option.RETAIN_INSTITUTION,
    "uids": Option.RETAIN_UIDS,
}


PROFILE_OPTIONS: Final = (
    click.option(
        "--key",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File with the secret that pseudonyms follow from, made where it is not there.",
    ),
    click.option(
        "--dates",
        type=click.Choice(list(DATES)),
        default="shifted",
        show_default=True,
        help="Moved by a number of days of each patient's own, kept, or removed.",
    ),
    click.option(
        "--retain",
        type=click.Choice(list(RETAINABLE)),
        multiple=True,
        help="What to keep; may be given again.",
    ),
    click.option(
        "--clean-descriptors",
        is_flag=True,
        help="Keep the plain words of descriptions rather than none.",
    ),
)

Command = Callable[..., Any]


def profile_options(command: Command) -> Command:
    """Give a command the options `key`, `dates`, `retain` and `clean_descriptors`."""
    return reduce(lambda made, option: option(made), reversed(PROFILE_OPTIONS), command)


def chosen(dates: str, retain: Sequence[str], *, clean_descriptors: bool) -> frozenset[Option]:
    """Return what is asked for beside the profile."""
    cleaned = {Option.CLEAN_DESCRIPTORS} if clean_descriptors else set[Option]()
    return frozenset(DATES[dates] | {RETAINABLE[name] for name in retain} | cleaned)


@click.command(short_help="Write studies without their patients.")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder to write to, outside SOURCE.",
)
@profile_options
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON.")
def deidentify(
    source: Path,
    out: Path,
    key: Path | None,
    dates: str,
    retain: tuple[str, ...],
    *,
    clean_descriptors: bool,
    as_json: bool,
) -> None:
    """Write the DICOM objects in SOURCE, a folder, a zip or a file, without their patients.

    By the Basic Application Level Confidentiality Profile of PS3.15. Prints what was done, by tag.
    Objects that the profile does not reach, such as reports and screen shots, are left out.
    """
    _check_apart(source, out)
    options = chosen(dates, retain, clean_descriptors=clean_descriptors)
    deidentifier = Deidentifier(_secret(key), options)
    with TemporaryDirectory(prefix="hilum-") as scratch:
        paths = _files(source, Path(scratch))
        export = deidentify_files(paths, out, deidentifier)
    _check_any(export, len(paths))
    if as_json:
        click.echo(json.dumps(export.to_json(), indent=2))
    else:
        _show(export)
    _narrate(export, out)


def _check_apart(source: Path, out: Path) -> None:
    # The next run would take what this one wrote, and the two would lie among each other.
    if out.resolve().is_relative_to(source.resolve()):
        raise click.BadParameter("lies within SOURCE.", param_hint="'--out'")


def _secret(path: Path | None) -> bytes:
    """Return the secret of a file, or one for this time alone."""
    if path is None:
        narrate("No --key: these pseudonyms cannot be made again.")
        return token_bytes()
    return read_key(path)


def read_key(path: Path) -> bytes:
    """Return the secret of a file; makes one, for its owner alone, where there is no file."""
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(token_hex() + "\n")
        narrate(f"Made the key {path}: keep it secret, and keep it.")
    return path.read_bytes().strip()


def _files(source: Path, scratch: Path) -> list[Path]:
    if source.is_dir():
        return [path for path in sorted(source.rglob("*")) if path.is_file()]
    return unpack(source, scratch, DEFAULT_LIMITS) if zipfile.is_zipfile(source) else [source]


def _check_any(export: Export, files: int) -> None:
    if export.written:
        return
    if export.refused:
        raise NotDeidentifiable(f"None of {files} files was taken. {export.refused[0].reason}")
    raise NoDicom(f"None of {files} files is a DICOM object.")


def _show(export: Export) -> None:
    table = Table("tag", "attribute", "what was done", "times", box=None)
    table.columns[3].justify = "right"
    for change in export.account.changes:
        table.add_row(change.tag, change.keyword, change.deed.value, str(change.count))
    results.print(table)


def _narrate(export: Export, out: Path) -> None:
    for (reason, code), count in Counter(
        (one.reason, one.code) for one in export.refused
    ).most_common():
        narrate(f"Left out {count}: {reason} [{code}]")
    if export.passed_over:
        narrate(f"Passed over {export.passed_over} files that are no DICOM.")
    narrate(f"Wrote {export.written} files to {out}.")
