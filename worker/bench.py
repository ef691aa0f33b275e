# SPDX-License-Identifier: Apache-2.0
"""What a worker works with."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Self

from db.claims import Claim
from db.session import Sessions, make_engine, make_sessions
from hilum.findings import Analysis
from hilum.pipelines.base import Networks, run_pipeline
from hilum.registry import Registry
from hilum.settings import Settings
from hilum.storage import StudyStore
from worker import gpu


@dataclass(frozen=True, slots=True)
class Bench:
    """The tools of one process; none may cross a fork.

    Attributes:
        sessions: on the database.
        store: studies and results.
        networks: by name.
        settings: of the installation.
        analyse: runs a pipeline of the catalogue.
        at_work: entered for the length of a job.
    """

    sessions: Sessions
    store: StudyStore
    networks: Networks
    settings: Settings
    analyse: Callable[..., Analysis] = run_pipeline
    at_work: Callable[[Claim], AbstractContextManager[Claim | None]] = nullcontext

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Return a bench; connections and networks come when they are first needed."""
        return cls(
            sessions=make_sessions(make_engine(settings.database_url)),
            store=StudyStore.open(settings.storage_url, min_free_mb=settings.min_free_mb),
            networks=gpu.Networks(settings.device, Registry.at(settings.weights)),
            settings=settings,
        )
