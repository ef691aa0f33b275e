"""Studies that came in by whatever door, of one hospital."""

from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

import pytest
from pydicom import Dataset

from api.confidential import Cleared
from api.intake import keep
from api.parts import Parts
from api.spool import spooled
from db.session import Sessions
from db.tables import TenantRow
from tests import phantoms
from tests.api.caller import Caller
from tests.api.dicomweb.place import Place
from tests.api.dicomweb.ward import Send, fill_ward
from tests.phantoms import chest


@pytest.fixture
def send(caller: Caller, parts: Parts, tenant: TenantRow, tmp_path: Path) -> Send:
    """Keep objects as one upload; returns the files they were sent as."""
    assert caller

    def sent(datasets: Iterable[Dataset]) -> list[Path]:
        folder = phantoms.write(tmp_path / uuid4().hex, datasets)
        files = sorted(folder.iterdir())
        keep(Cleared([spooled(path) for path in files]), tenant.id, parts)
        return files

    return sent


@pytest.fixture
def slices() -> list[Dataset]:
    """The three topmost slices of a chest CT, in memory."""
    return chest().datasets()[:3]


@pytest.fixture
def ward(send: Send, sessions: Sessions) -> dict[str, Place]:
    """Studies by the name of their patient; Eve's was kept before there were attributes."""
    return fill_ward(send, sessions)
