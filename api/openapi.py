# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document, and a page of it that needs no internet."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from apiflask import APIBlueprint, APIFlask
from flask import Response, render_template, send_from_directory

from api.auth import by_key, by_key_or_person, by_key_or_sender
from api.errors import PROBLEM_JSON
from api.schemas.service import ProblemJSON

docs = APIBlueprint("docs", __name__, url_prefix="/docs", enable_openapi=False)

SWAGGER_UI: Final = Path(str(files("flask_swagger_ui"))) / "dist"
"""Swagger UI as the package of that name carries it."""

ASSETS: Final = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"})
ASSETS_KEPT_S: Final = 86400

CONFIG: Final[Mapping[str, Any]] = {
    "HTTP_ERROR_SCHEMA": ProblemJSON,
    "VALIDATION_ERROR_SCHEMA": ProblemJSON,
    "AUTO_OPERATION_ID": True,
    "AUTO_SERVERS": False,
}
"""What APIFlask is told of the document."""

DESCRIPTION: Final = """\
A CT study goes in, a graded report comes out. Send a study, take the job's id from the answer, ask
for the job until it has ended, then read its report. For research; not for diagnosis.

Every error is a problem document (RFC 9457) with a stable `code`; [all of them](/problems).
"""

PATH_PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "batch_id": {"type": "string", "format": "uuid"},
    "job_id": {"type": "string", "format": "uuid"},
    "study_id": {"type": "string", "format": "uuid"},
    "upload_id": {"type": "string", "format": "uuid"},
    "webhook_id": {"type": "string", "format": "uuid"},
    "delivery_id": {"type": "string", "format": "uuid"},
    "kind": {"type": "string", "enum": ["lesions", "lungs"]},
    "index": {"type": "integer", "minimum": 0, "maximum": 99999},
}
"""What the parts of a path may be: APIFlask knows them as text."""

FOR_PEOPLE: Final[tuple[dict[str, list[str]], ...]] = (
    {by_key_or_person.name: []},
    {by_key_or_sender.name: []},
)
"""What is asked of people; a key will do in its place."""

PROBLEM_CONTENT: Final = {
    PROBLEM_JSON: {"schema": {"$ref": f"#/components/schemas/{ProblemJSON.__name__}"}}
}
TOO_MANY: Final = "The hospital has asked as often in a minute as it may."
UNAVAILABLE: Final = "The database does not answer, or is being changed; try again."


def describe(app: APIFlask) -> None:
    """Make an app describe itself as it is."""
    app.config.from_mapping(CONFIG)
    app.description = DESCRIPTION
    app.license = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    app.spec_processor(_complete)


def _complete(document: Any) -> Any:
    # Two blueprints may be about one noun.
    document["tags"] = list({tag["name"]: tag for tag in document["tags"]}.values())
    for operation in _operations(document):
        operation["responses"].setdefault("503", {"description": UNAVAILABLE})
        if "security" in operation:
            operation["responses"].setdefault("429", {"description": TOO_MANY})
        if "requestBody" in operation:
            operation["requestBody"]["required"] = True
        if any(one in operation.get("security", []) for one in FOR_PEOPLE):
            operation["security"].append({by_key.name: []})
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                parameter["schema"] = dict(PATH_PARAMETERS[parameter["name"]])
                parameter["required"] = True
        for status, response in operation["responses"].items():
            if int(status) >= 400:  # noqa: PLR2004 - where errors begin
                response["content"] = PROBLEM_CONTENT
    return document


def _operations(document: Any) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


@docs.get("")
def page() -> str:
    """Show the OpenAPI document as a page to read and try."""
    return render_template("docs.html")


@docs.get("/assets/<path:name>")
def asset(name: str) -> Response:
    """Send a file of Swagger UI."""
    # The package's folder holds pages of its own, which would run under other rules.
    wanted = name if name in ASSETS else "none"
    return send_from_directory(SWAGGER_UI, wanted, max_age=ASSETS_KEPT_S)
