# SPDX-License-Identifier: Apache-2.0
"""Files and folders of DICOM objects without their patients, named by their new UIDs alone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hilum.dicom import header
from hilum.dicom.deidentify.account import Account, together
from hilum.dicom.deidentify.deidentifier import Deidentifier, encoded
from hilum.dicom.quiet import quiet
from hilum.errors import InputError, NoDicom


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that was not passed on.

    Attributes:
        number: of the file, in the order given, from 1: a file's name may be a patient's.
        code: of the error, as in docs/errors.md.
        reason: one sentence.
    """

    number: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Export:
    """What became of many files.

    Attributes:
        written: files written.
        repeated: files of an instance that another file had already brought.
        passed_over: files that are no DICOM.
        refused: the others, each with its reason.
        account: what was done to all that were written.
    """

    written: int
    repeated: int
    passed_over: int
    refused: tuple[Refused, ...]
    account: Account

    def to_json(self) -> dict[str, Any]:
        """Return the export as plain data."""
        refused = [
            {"number": one.number, "code": one.code, "reason": one.reason} for one in self.refused
        ]
        return {
            "written": self.written,
            "repeated": self.repeated,
            "passed_over": self.passed_over,
            "refused": refused,
            **self.account.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Written:
    """One object without its patient, as a file.

    Attributes:
        name: study, series and instance, by their new UIDs: a path relative to a folder.
        data: the file.
        account: what was done.
    """

    name: Path
    data: bytes
    account: Account


def deidentify_file(path: Path, deidentifier: Deidentifier) -> Written:
    """Return the object of a file without its patient.

    Raises:
        NoDicom: the file is not a DICOM object.
        NotDeidentifiable: the profile does not reach what it holds.
        BurnedInText: its pixels may show who the patient is.
    """
    with quiet():
        dataset = header.open_dataset(path)
    if dataset is None:
        raise NoDicom("The file is not a DICOM object.")
    cleaned, account = deidentifier.deidentify(dataset)
    study, series, instance = (
        str(cleaned[keyword].value)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    )
    return Written(Path(study, series, f"{instance}.dcm"), encoded(cleaned), account)


def deidentify_files(
    paths: Iterable[Path],
    out: Path,
    deidentifier: Deidentifier,
    progress: Callable[[int], None] = lambda _: None,
) -> Export:
    """Write the objects of many files into a folder, study by study and series by series.

    Args:
        paths: files of any kind; those that are no DICOM are passed over.
        out: made where it is not there.
        deidentifier: the same patient is called the same in all of them.
        progress: told the number of files that are done.
    """
    written: dict[Path, Account] = {}
    refused: list[Refused] = []
    repeated = passed_over = number = 0
    for number, path in enumerate(paths, 1):
        try:
            one = deidentify_file(path, deidentifier)
        except NoDicom:
            passed_over += 1
        except InputError as error:
            refused.append(Refused(number, error.code, error.message))
        else:
            repeated += one.name in written
            if one.name not in written:
                _write(out / one.name, one.data)
                written[one.name] = one.account
        progress(number)
    account = together(written.values())
    return Export(len(written), repeated, passed_over, tuple(refused), account)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
