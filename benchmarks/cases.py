# SPDX-License-Identifier: Apache-2.0
"""The list of cases among 100,000: each filter alone, some together, and the page as a whole.

Each is asked several times, for one page and for the count; the third column is the page over HTTP,
without the network, as an admin of all hospitals opens it. Then the whole list, once as each file.

    python -m benchmarks.cases [CASES]
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from api import create_app
from api.dashboard.case_files import FORMATS
from api.parts import EXTENSION
from api.passwords import hash_password
from api.schemas.cases import Asked
from cli.local import embedded_postgres, embedded_valkey
from db.cases import Search, Sight, count_cases, list_cases, search
from db.schema import migrate
from db.scope import EVERYTHING, Scope
from db.session import Sessions, make_engine, make_sessions
from db.users import add_user, grant, set_password
from hilum.logs import configure_logs
from hilum.people import Role
from hilum.settings import Settings

TIMES: Final = 5
PASSWORD: Final = "a phrase for a benchmark"  # noqa: S105 - opens nothing that outlasts the run

QUESTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "everything": {},
    "a name": {"text": "family77"},
    "a name and a given name": {"text": "family77 given77"},
    "a name that nobody has": {"text": "zzzz"},
    "the beginning of every UID": {"text": "1.2.826"},
    "an accession number": {"text": "A000000078"},
    "an error code": {"text": "not_axial"},
    "a batch": {"text": "night"},
    "a hospital, by its name": {"text": "hospital-7"},
    "received in a month": {"received_from": "2026-03-01", "received_to": "2026-03-31"},
    "of one study date": {"dated_from": "2026-03-01", "dated_to": "2026-03-01"},
    "a hospital": {"tenant": "hospital-7"},
    "a network": {"network": "resnet101"},
    "a scanner": {"scanner": "GE MEDICAL SYSTEMS Model 1"},
    "queued": {"state": "queued"},
    "quarantined": {"state": "quarantined"},
    "urgent": {"priority": "stat"},
    "Alarming": {"verdict": "Alarming"},
    "CT-4": {"grade": "CT-4"},
    "review asked for": {"review": "yes"},
    "a share of 90-91 %": {"share_min": "90", "share_max": "91"},
    "Alarming and CT-1, which there is not": {"verdict": "Alarming", "grade": "CT-1"},
    "failed, with a verdict": {"state": "failed", "verdict": "Mild"},
    "a network where it never ran": {"network": "resnet101@3.0.0", "tenant": "hospital-8"},
    "a name, Alarming": {"text": "family77", "verdict": "Alarming"},
    "every UID, CT-4, urgent": {"text": "1.2.826", "grade": "CT-4", "priority": "stat"},
    "by share": {"sort": "-lesion_share"},
    "by share, failed": {"sort": "-lesion_share", "state": "failed"},
    "by end, a scanner": {"sort": "-finished", "scanner": "GE MEDICAL SYSTEMS Model 1"},
    "by study date, CT-0": {"sort": "study_date", "grade": "CT-0"},
}


def main(cases: int) -> None:
    with installation(cases) as (settings, engine), ExitStack() as stack:
        app = create_app(settings)
        stack.callback(app.extensions[EXTENSION].close)
        sessions, client = make_sessions(engine), app.test_client()
        sign_in(sessions, client)
        measured = {
            name: measure(sessions, client, query, a_small_hospital(engine))
            for name, query in QUESTIONS.items()
        }
        files = {form: file_of(client, form) for form in FORMATS}
    worst = {key: max(found[key] for found in measured.values()) for key in measured["everything"]}
    outcome = {"benchmark": "cases", "cases": cases, "worst": worst, "files": files}
    print(json.dumps(outcome | {"each": measured}))


@contextmanager
def installation(cases: int) -> Iterator[tuple[Settings, Engine]]:
    """Have a database and a broker of their own, and so many cases."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = Settings(
            database_url=stack.enter_context(embedded_postgres(folder / "postgres")),
            redis_url=stack.enter_context(embedded_valkey(folder / "valkey")),
            storage_url=f"file://{folder}/store",
            secret_key="0" * 32,
            spool_dir=folder / "spool",
            # What the web server says of each request is no part of the outcome.
            log_level="ERROR",
        )
        configure_logs(settings)
        engine = make_engine(settings.database_url)
        stack.callback(engine.dispose)
        migrate(engine)
        fill(engine, cases)
        yield settings, engine


def fill(engine: Engine, cases: int) -> None:
    """Write the cases; what triggers would keep of each, the last statement keeps of all."""
    script = Path(__file__).with_suffix(".sql").read_text().replace("{cases}", str(cases))
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement.replace("%", "%%"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")


def sign_in(sessions: Sessions, client: FlaskClient) -> None:
    """Let an admin in."""
    with sessions.begin() as session:
        user = add_user(session, "admin")
        grant(session, user, Role.ADMIN, None)
        set_password(session, user, hash_password(PASSWORD, name="admin"))
    client.post("/sign-in", data={"name": "admin", "password": PASSWORD})


def a_small_hospital(engine: Engine) -> Scope:
    """Return the scope of somebody who sees one hospital of many."""
    with engine.connect() as connection:
        found = connection.scalar(text("SELECT id FROM tenants WHERE name = 'hospital-8'"))
    return Scope.of(found)


def measure(
    sessions: Sessions, client: FlaskClient, query: Mapping[str, str], few: Scope
) -> dict[str, float]:
    """Return the milliseconds that a list takes, for all hospitals and for one, and its page."""
    asked = Asked.of(MultiDict(query))
    everywhere, somewhere = Sight(EVERYTHING, EVERYTHING), Sight(few, few)
    address = f"/cases?{urlencode(query)}"

    def wanted(session: Session, sight: Sight) -> Search:
        return search(session, sight, asked.chosen)

    def list_for(sight: Sight) -> Callable[[Any], object]:
        return lambda session: list_cases(session, wanted(session, sight), asked.page)

    return {
        "list_ms": taken(sessions, list_for(everywhere)),
        "count_ms": taken(
            sessions, lambda session: count_cases(session, wanted(session, everywhere))
        ),
        "list_of_one_hospital_ms": taken(sessions, list_for(somewhere)),
        "page_ms": taken(sessions, lambda _: shown(client, address)),
    }


def taken(sessions: Sessions, ask: Callable[[Any], object]) -> float:
    """Return the median of the milliseconds that something takes."""
    took = []
    for _ in range(TIMES):
        with sessions.begin() as session:
            begun = time.perf_counter()
            ask(session)
            took.append(time.perf_counter() - begun)
    return round(1000 * statistics.median(took), 1)


def file_of(client: FlaskClient, form: str) -> dict[str, float]:
    """Return what the whole list costs as a file: seconds, of them the web server's own, and MiB."""
    begun, busy = time.perf_counter(), time.process_time()
    with client.get(f"/cases/export.{form}") as answer:
        size = len(answer.data)
    return {
        "seconds": round(time.perf_counter() - begun, 1),
        "web_server_s": round(time.process_time() - busy, 1),
        "mib": round(size / 2**20, 1),
    }


def shown(client: FlaskClient, address: str) -> None:
    """Open a page; it ends the benchmark where it is none."""
    answer = client.get(address)
    if answer.status_code != 200:  # noqa: PLR2004 - as HTTP has it
        sys.exit(f"{address} answered {answer.status}.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
