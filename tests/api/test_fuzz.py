"""Whatever is sent, the API answers as its document says, and never with a 500."""

from collections.abc import Mapping
from typing import Any

import pytest
import schemathesis
from apiflask import APIFlask
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from tests.api.caller import Caller
from tests.api.pieces import CHUNK_TYPE

EXAMPLES = 20
"""A call and mode: the document is small, and the suite must stay fast."""

ENDLESS = "/v1/stream"
"""An answer that does not come to an end is not one to compare."""

REFUSALS = ["4xx", "503"]
"""How wrong data is answered; 412, for a version of tus, is not among the tool's own."""

CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            name: {"expected-statuses": REFUSALS}
            for name in ("negative_data_rejection", "missing_required_header")
        }
    }
)

schemathesis.serializer.alias(CHUNK_TYPE, "application/octet-stream")

Operation = APIOperation[Any, Any, Any, Any]

bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


def operations(app: APIFlask) -> list[Operation]:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app, config=CONFIG)
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    return [operation for operation in found if operation.path != ENDLESS]


def takes_something(operation: Operation) -> bool:
    return bool([*operation.iter_parameters()] or operation.body)


def beyond(operation: Operation) -> list[Any]:
    """Return the checks that do not hold of an operation."""
    # A cursor, a study's id or a study itself cannot be made up from its description.
    never = [positive_data_acceptance]
    # A key is good enough, whatever cookie comes with it.
    by_cookie = any(
        {"CookieAuth", "SenderAuth"} & {*one}
        for one in operation.definition.raw.get("security", [])
    )
    return [*never, ignored_auth] if by_cookie else never


def fuzz(
    operation: Operation, mode: GenerationMode, caller: Caller, ids: Mapping[str, str]
) -> None:
    @bounded
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers_as_documented(case: Case[Any]) -> None:
        known = {name: ids[name] for name in ids if name in case.path_parameters}
        case.path_parameters.update(known)
        # A parameter of no values is wrong by the document and never leaves the client.
        assume([] not in (case.query or {}).values())
        case.call_and_validate(
            headers=caller.headers(),
            excluded_checks=beyond(operation),
        )

    answers_as_documented()


@pytest.mark.parametrize("mode", [*GenerationMode])
def test_answers_are_as_the_document_says(
    app: APIFlask, caller: Caller, mode: GenerationMode
) -> None:
    for operation in operations(app):
        if mode is GenerationMode.POSITIVE or takes_something(operation):
            fuzz(operation, mode, caller, {})


def test_answers_about_a_finished_job_are_as_the_document_says(
    app: APIFlask, caller: Caller, finished: str, upload: str, batch: str, told: dict[str, str]
) -> None:
    study_id = caller.get(f"/v1/jobs/{finished}").json["study_id"]
    about_one = [operation for operation in operations(app) if operation.path_parameters]

    for operation in about_one:
        ids = {"job_id": finished, "study_id": study_id, "upload_id": upload, "batch_id": batch}
        ids |= told
        fuzz(operation, GenerationMode.POSITIVE, caller, ids)

    assert len(about_one) == 30
