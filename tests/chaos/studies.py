"""Small studies, each with UIDs of its own."""

from functools import cache
from io import BytesIO
from zipfile import ZipFile

from hilum.phantom import Phantom, make_phantom

POISON = 9999
"""A study whose UID ends in it kills every worker that takes it."""


def zipped(study_uid: str) -> bytes:
    """Return a small chest as a study of its own."""
    content = BytesIO()
    with ZipFile(content, "w") as archive:
        for number, dataset in enumerate(_chest().datasets()):
            dataset.StudyInstanceUID = study_uid
            dataset.SeriesInstanceUID = f"{study_uid}.1"
            dataset.SOPInstanceUID = f"{study_uid}.1.{number}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            file = BytesIO()
            dataset.save_as(file, enforce_file_format=True)
            archive.writestr(f"{number}.dcm", file.getvalue())
    return content.getvalue()


def is_poison(study_uid: str) -> bool:
    """Tell whether a study kills its workers."""
    return study_uid.rpartition(".")[2] == str(POISON)


@cache
def _chest() -> Phantom:
    return make_phantom(0, slices=10, size_px=96)
