# SPDX-License-Identifier: Apache-2.0
"""Which of many rows counts: the same study, series or instance may have come in several uploads."""

from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, func, select, tuple_
from sqlalchemy.orm import aliased

from db.tables import InstanceRow, SeriesRow, StudyRow
from hilum.dicom.attributes import tag_of

SUFFIX: Final = 13
"""Characters that tell a second file of one UID from the first: a dot and part of a hash."""

Upload = aliased(StudyRow, name="upload")
"""Whichever upload a series came in; `StudyRow` is the last one of its study."""

NEWEST: Final = (StudyRow.created_at.desc(), StudyRow.id.desc())


def same_study(one: type[StudyRow], other: type[StudyRow]) -> ColumnElement[bool]:
    """Tell whether two uploads are of one study of one tenant."""
    return and_(one.tenant_id == other.tenant_id, one.study_uid == other.study_uid)


def newer_upload() -> ColumnElement[bool]:
    """Tell whether a study came again after `StudyRow`."""
    newer = aliased(StudyRow)
    later = _age(newer.created_at, newer.id) > _age(StudyRow.created_at, StudyRow.id)
    return exists(select(newer.id).where(same_study(newer, StudyRow), later))


def newer_series() -> ColumnElement[bool]:
    """Tell whether `SeriesRow` of `Upload` came again later."""
    upload, series = aliased(StudyRow), aliased(SeriesRow)
    others = select(series.id).join(upload, upload.id == series.study_id)
    later = _age(upload.created_at, upload.id, series.id) > _age(
        Upload.created_at, Upload.id, SeriesRow.id
    )
    return exists(
        others.where(same_study(upload, Upload), series.series_uid == SeriesRow.series_uid, later)
    )


def newer_instance() -> ColumnElement[bool]:
    """Tell whether `InstanceRow` of `Upload` came again later."""
    upload, series, instance = aliased(StudyRow), aliased(SeriesRow), aliased(InstanceRow)
    others = select(instance.id).join(series, series.id == instance.series_id)
    others = others.join(upload, upload.id == series.study_id)
    later = _age(upload.created_at, upload.id, instance.id) > _age(
        Upload.created_at, Upload.id, InstanceRow.id
    )
    return exists(
        others.where(
            same_study(upload, Upload),
            series.series_uid == SeriesRow.series_uid,
            instance.sop_instance_uid == InstanceRow.sop_instance_uid,
            later,
        )
    )


def _age(*columns: Any) -> ColumnElement[Any]:
    return tuple_(*columns)


def is_first() -> ColumnElement[bool]:
    """Tell a file from a second one of the same UID, which is kept under a longer name."""
    uid, own = InstanceRow.sop_instance_uid, InstanceRow.attributes[tag_of("SOPInstanceUID")]
    renamed = func.left(uid, -SUFFIX) == own["Value"][0].astext
    # Before there were attributes, the name ended in the hash of the file.
    hashed = func.right(uid, SUFFIX) == "." + func.left(InstanceRow.sha256, SUFFIX - 1)
    return ~func.coalesce(renamed, False) & ~hashed
