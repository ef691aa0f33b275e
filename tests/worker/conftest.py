from collections.abc import Callable, Iterable
from io import BytesIO
from uuid import uuid4

import pytest
from pydicom.dataset import Dataset

from db.session import Sessions
from db.studies import add_study
from db.tables import JobRow, TenantRow
from hilum.dicom.read import read_study
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.db.factories import queue_job
from tests.phantoms import chest
from tests.worker.pipelines import quick
from worker.bench import Bench

QueueStored = Callable[..., JobRow]


@pytest.fixture
def bench(sessions: Sessions, store: StudyStore, settings: Settings) -> Bench:
    """A bench on which every study takes a moment and has the same findings."""
    return Bench(sessions, store, lambda name: name, settings, quick)  # type: ignore[arg-type, return-value] # this pipeline needs no network


@pytest.fixture
def queue_stored(sessions: Sessions, store: StudyStore, tenant: TenantRow) -> QueueStored:
    """Queue a job of a small chest that lies in the store."""

    def queue(datasets: Iterable[Dataset] | None = None, **changes: object) -> JobRow:
        study_id = uuid4()
        files, paths = {}, []
        for dataset in datasets or chest().datasets():
            content = BytesIO()
            dataset.save_as(content, enforce_file_format=True)
            content.seek(0)
            uid = str(dataset.SOPInstanceUID)
            files[uid] = store.put(content, f"{tenant.id}/studies/{study_id}/{uid}.dcm")
            paths.append(files[uid].key)
        study = read_study(store.local_files(paths, store.root))  # type: ignore[arg-type] # unused: the store is local
        with sessions.begin() as session:
            row = add_study(
                session,
                study_id=study_id,
                tenant_id=tenant.id,
                study=study,
                files=files,
                content_sha256=uuid4().hex,
            )
            return queue_job(session, tenant.id, study_id=row.id, **changes)

    return queue
