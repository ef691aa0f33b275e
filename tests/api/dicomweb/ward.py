"""A ward of three patients, and who of them a search finds."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydicom import Dataset
from sqlalchemy import update

from db.session import Sessions
from db.tables import InstanceRow, SeriesRow, StudyRow
from tests.api.caller import Answer
from tests.api.dicomweb.place import ROOT, Place, values
from tests.phantoms import as_study, chest, setting

Send = Callable[[Iterable[Dataset]], list[Path]]
"""Keeps objects as one upload, and returns the files they were sent as."""

STUDIES = f"{ROOT}/studies"


def study(count: int = 1, **changes: Any) -> list[Dataset]:
    return setting(as_study(chest().datasets()[:count]), None, **changes)


def fill_ward(send: Send, sessions: Sessions) -> dict[str, Place]:
    """Studies by the name of their patient; Eve's was kept before there were attributes."""
    eve = study(PatientID="E", PatientName="Eve", StudyDate="20190101", StudyTime="120000")
    anna = study(
        PatientID="A-1",
        PatientName="Müller^Anna",
        PatientBirthDate="19500102",
        PatientSex="F",
        StudyDate="20200401",
        StudyTime="080000",
        AccessionNumber="ACC_1",
        StudyDescription="CT chest",
        StudyID="1",
        ReferringPhysicianName="House^Gregory",
    )
    john = study(
        PatientID="J%2",
        PatientName="Doe^John",
        PatientBirthDate="19800303",
        PatientSex="M",
        StudyDate="20210315",
        StudyTime="143059.5",
        AccessionNumber="ACC92",
        StudyDescription="CR thorax",
        StudyID="2",
        Modality="CR",
        SeriesNumber=7,
        BodyPartExamined="LUNG",
        PerformedProcedureStepStartDate="20210315",
    )
    for one in (eve, anna, john):
        send(one)
    with sessions.begin() as session:
        of_eve = StudyRow.study_uid == eve[0].StudyInstanceUID
        session.execute(
            update(StudyRow)
            .where(of_eve)
            .values(attributes=None, patient_id=None, accession_number=None)
        )
        for row in (SeriesRow, InstanceRow):
            uid = "SeriesInstanceUID" if row is SeriesRow else "SOPInstanceUID"
            column = SeriesRow.series_uid if row is SeriesRow else InstanceRow.sop_instance_uid
            session.execute(update(row).where(column == eve[0][uid].value).values(attributes=None))
    return {"Eve": Place.of(eve[0]), "Anna": Place.of(anna[0]), "John": Place.of(john[0])}


def names(ward: dict[str, Place], answer: Answer) -> str:
    """Return the initials of who was found, in the order of the results."""
    assert answer.status == 200, answer.text
    by_uid = {place.study_uid: name[0] for name, place in ward.items()}
    return "".join(by_uid[uid] for uid in values(answer.json, "StudyInstanceUID"))
