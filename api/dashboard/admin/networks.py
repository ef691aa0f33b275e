# SPDX-License-Identifier: Apache-2.0
"""The page of networks: which there are, what their cards say, and which workers have them loaded."""

from collections.abc import Sequence

from apiflask import APIBlueprint
from flask import render_template

from api.dashboard.admin.rights import check_administers_everything
from api.parts import parts
from db.tables import WorkerRow
from db.workers import live_workers
from hilum.errors import HilumError, NetworkAbsent
from hilum.registry import SHIPPED_ALONE, Broken, Entry, Registry

networks = APIBlueprint("networks", __name__, url_prefix="/networks", enable_openapi=False)
networks.before_request(check_administers_everything)


@networks.get("")
def index() -> str:
    """List the networks that jobs may name."""
    sound, broken, trouble = _survey()
    with parts().sessions.begin() as session:
        workers = live_workers(session)
    return render_template(
        "dashboard/admin/networks.html",
        networks=sound,
        broken=broken,
        trouble=trouble,
        usual=_usual(),
        loaded={one.id: _loaded_by(workers, one) for one in sound},
    )


def _survey() -> tuple[list[Entry], list[Broken], str]:
    """Return the sound networks, the others, and why there are no more."""
    try:
        return *Registry.at(parts().settings.weights).survey(), ""
    except NetworkAbsent as error:
        return *SHIPPED_ALONE.survey(), error.message


def _usual() -> str | None:
    """Return the network of jobs that name none; None where that cannot be used."""
    settings = parts().settings
    try:
        return Registry.at(settings.weights).find(settings.network).id
    except HilumError:
        # The page of health says why.
        return None


def _loaded_by(workers: Sequence[WorkerRow], network: Entry) -> list[str]:
    return [worker.name for worker in workers if network.id in worker.networks]
