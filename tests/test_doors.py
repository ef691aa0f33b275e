"""One real study through every door, by clients that others wrote, and its results back."""

import io
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import httpx
import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient
from highdicom.seg import Segmentation
from highdicom.sr import Comprehensive3DSR
from pydicom.dataset import Dataset
from pynetdicom import AE
from sqlalchemy import select
from tusclient.client import TusClient

from api.dimse import Scp
from api.gatherer import Gatherer
from api.parts import Parts
from db.reports import report_for
from db.session import Sessions
from db.tables import JobRow, TenantRow
from db.tenants import new_key
from db.titles import add_title
from hilum.jobs import State
from hilum.settings import Settings
from tests.api.server import running_server
from tests.archives import unpacked
from tests.programs import installed
from tests.worker.processes import celery_worker, until

pytestmark = pytest.mark.usefixtures("scanners")

TITLE = "HILUM"


@dataclass(frozen=True)
class Site:
    """A hospital's side of everything.

    Attributes:
        url: of the web server.
        port: of the DICOM service.
        key: of the hospital.
        folder: the study as files.
        gather: take in what came by DICOM.
    """

    url: str
    port: int
    key: str
    folder: Path
    gather: Callable[[], None]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def slices(self) -> list[Dataset]:
        return [pydicom.dcmread(path) for path in sorted(self.folder.rglob("*.dcm"))]

    @property
    def archive(self) -> bytes:
        buffer = io.BytesIO()
        with ZipFile(buffer, "w") as archive:
            for number, path in enumerate(sorted(self.folder.rglob("*.dcm"))):
                archive.write(path, f"{number}.dcm")
        return buffer.getvalue()

    @property
    def dicomweb(self) -> DICOMwebClient:
        session = requests.Session()
        session.headers.update(self.headers)
        return DICOMwebClient(f"{self.url}/dicom-web", session=session)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    # A part of the broker of its own: other tests' workers listen to the first.
    return settings.model_copy(
        update={
            "redis_url": settings.redis_url.removesuffix("0") + "2",
            # The gatherer of this test alone says when a study is complete.
            "study_quiet_s": 3600.0,
            "threads": 2,
        }
    )


@pytest.fixture
def site(
    settings: Settings,
    sessions: Sessions,
    tenant: TenantRow,
    shared_data: Path,
    tmp_path: Path,
) -> Iterator[Site]:
    folder = unpacked(shared_data / "dicom-studies.tar.xz", tmp_path / "data")
    with sessions.begin() as session:
        key = new_key(session, tenant.name, "ward")
        add_title(session, TITLE, tenant.name, order={})
    parts = Parts.assemble(settings.model_copy(update={"study_quiet_s": 0.0}))
    service = Scp(parts).listen("127.0.0.1", 0)
    with running_server(settings) as server:
        yield Site(
            server.url,
            service.server_address[1],
            key,
            folder / "dicom-studies/lung-dx-A0001",
            Gatherer(parts).gather,
        )
    service.shutdown()
    parts.close()


def by_zip(site: Site) -> None:
    headers = site.headers | {"Content-Type": "application/zip"}
    answer = httpx.post(
        f"{site.url}/v1/studies", content=site.archive, headers=headers, timeout=120
    )
    assert answer.status_code == 202, answer.text


def by_tus(site: Site) -> None:
    client = TusClient(f"{site.url}/v1/uploads", site.headers)
    metadata = {"filename": "A0001.zip", "filetype": "application/zip"}
    client.uploader(
        file_stream=io.BytesIO(site.archive), metadata=metadata, chunk_size=5_000_000
    ).upload()


def by_stow(site: Site) -> None:
    document = site.dicomweb.store_instances(site.slices)
    assert "FailedSOPSequence" not in document
    site.gather()


def by_c_store(site: Site) -> None:
    entity = AE("CT01")
    first = site.slices[0]
    entity.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", site.port, ae_title=TITLE)
    statuses = {association.send_c_store(one).Status for one in site.slices}
    association.release()
    assert statuses == {0}
    site.gather()


def by_dcmtk(program: str) -> Callable[[Site], None]:
    def send(site: Site) -> None:
        path = installed(program, package="dcmtk")
        arguments = ["--scan-directories", "--recurse", "--call", TITLE]
        subprocess.run(
            [path, *arguments, "127.0.0.1", str(site.port), str(site.folder)],
            check=True,
            capture_output=True,
            timeout=240,
        )
        site.gather()

    return send


DOORS = {
    "zip": by_zip,
    "tus": by_tus,
    "STOW-RS": by_stow,
    "C-STORE": by_c_store,
    "storescu": by_dcmtk("storescu"),
    "dcmsend": by_dcmtk("dcmsend"),
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("door", DOORS)
def test_a_real_study_goes_in_by_a_door_and_its_results_come_back(
    door: str, site: Site, settings: Settings, sessions: Sessions, tmp_path: Path
) -> None:
    DOORS[door](site)
    # The same study by another door is the same job.
    by_stow(site)

    if door == "C-STORE":
        _run(settings, sessions, tmp_path)
        _check_results(site, sessions)
    with sessions.begin() as session:
        [job] = session.scalars(select(JobRow))
    assert job.slice_count == 64


def _run(settings: Settings, sessions: Sessions, tmp_path: Path) -> None:
    def is_over() -> bool:
        with sessions.begin() as session:
            return session.scalars(select(JobRow)).one().is_final

    with celery_worker(settings, tmp_path / "log", "--beat", app="worker.app"):
        until(is_over, patience_s=600)


def _check_results(site: Site, sessions: Sessions) -> None:
    with sessions.begin() as session:
        [job] = session.scalars(select(JobRow))
        assert (job.state, job.error_message) == (State.SUCCEEDED, None)
        report = report_for(session, job.tenant_id, job.id)
    fetched = _results(site)
    segmentation = Segmentation.from_dataset(fetched["SEG"])
    assert _lesion_ml(segmentation) == pytest.approx(report.lesion_ml, rel=0.01)
    assert 0.005 < report.lesion_share < 0.03
    assert Comprehensive3DSR.from_dataset(fetched["SR"]).ContentSequence
    assert fetched["OT"].pixel_array.shape[-1] == 3
    assert fetched["DOC"].EncapsulatedDocument.startswith(b"%PDF")
    assert {one.StudyInstanceUID for one in fetched.values()} == {report.study.study_uid}


def _results(site: Site) -> dict[str, Dataset]:
    """The objects that the job made, by modality."""
    client = site.dicomweb
    study_uid = str(site.slices[0].StudyInstanceUID)
    series = [Dataset.from_json(one) for one in client.search_for_series(study_uid)]
    return {
        one.Modality: client.retrieve_series(study_uid, one.SeriesInstanceUID)[0]
        for one in series
        if one.Modality != "CT"
    }


def _lesion_ml(segmentation: Segmentation) -> float:
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    rows_mm, columns_mm = measures.PixelSpacing
    # The slices of this study touch.
    voxel_ml = rows_mm * columns_mm * measures.SliceThickness / 1000
    return float(segmentation.pixel_array.sum() * voxel_ml)
