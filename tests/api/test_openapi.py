"""The document of the API, and its page without internet."""

import re
from typing import Any

import pytest

from tests.api.caller import Caller


@pytest.fixture
def document(anyone: Caller) -> Any:
    return anyone.get("/openapi.json").json


def operations(document: Any) -> dict[str, Any]:
    return {
        f"{method} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_of_the_api_is_described(document: Any) -> None:
    assert sorted(operations(document)) == [
        "delete /v1/batches/{batch_id}",
        "delete /v1/jobs/{job_id}",
        "delete /v1/uploads/{upload_id}",
        "delete /v1/webhooks/{webhook_id}",
        "get /health/live",
        "get /health/ready",
        "get /v1/batches",
        "get /v1/batches/{batch_id}",
        "get /v1/jobs",
        "get /v1/jobs/{job_id}",
        "get /v1/jobs/{job_id}/deliveries",
        "get /v1/jobs/{job_id}/events",
        "get /v1/jobs/{job_id}/stream",
        "get /v1/pipelines",
        "get /v1/reports",
        "get /v1/reports/{job_id}",
        "get /v1/reports/{job_id}/masks/{kind}.nii.gz",
        "get /v1/reports/{job_id}/slices/{index}.png",
        "get /v1/reports/{job_id}/volume.nii.gz",
        "get /v1/reports/{job_id}/{kind}.dcm",
        "get /v1/reports/{job_id}/{kind}.png",
        "get /v1/stream",
        "get /v1/studies",
        "get /v1/studies/{study_id}",
        "get /v1/uploads/{upload_id}",
        "get /v1/webhooks",
        "get /v1/webhooks/{webhook_id}",
        "get /v1/webhooks/{webhook_id}/deliveries",
        "get /v1/workers",
        "patch /v1/jobs/{job_id}",
        "patch /v1/uploads/{upload_id}",
        "patch /v1/webhooks/{webhook_id}",
        "post /v1/batches",
        "post /v1/batches/{batch_id}/close",
        "post /v1/jobs",
        "post /v1/jobs/actions",
        "post /v1/jobs/{job_id}/deliveries",
        "post /v1/jobs/{job_id}/rerun",
        "post /v1/jobs/{job_id}/retry",
        "post /v1/reports/{job_id}/regrade",
        "post /v1/studies",
        "post /v1/uploads",
        "post /v1/webhooks",
        "post /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/retry",
        "post /v1/webhooks/{webhook_id}/rotate",
        "post /v1/webhooks/{webhook_id}/test",
    ]


def test_every_operation_has_a_sentence_and_an_id_of_its_own(document: Any) -> None:
    found = operations(document).values()

    assert all(operation["summary"].endswith(".") for operation in found)
    assert len({operation["operationId"] for operation in found}) == len(found)


def test_every_operation_stands_under_the_noun_it_is_about(document: Any) -> None:
    nouns = [tag["name"] for tag in document["tags"]]

    assert nouns == [
        "Studies",
        "Uploads",
        "Jobs",
        "Batches",
        "Streams",
        "Deliveries",
        "Webhooks",
        "Reports",
        "Pipelines",
        "Workers",
        "Health",
    ]
    assert all(one["tags"][0] in nouns for one in operations(document).values())


def test_every_operation_on_rows_asks_for_a_key(document: Any) -> None:
    unguarded = {name for name, one in operations(document).items() if "security" not in one}

    assert unguarded == {"get /health/live", "get /health/ready"}


def test_every_error_is_a_problem_document(document: Any) -> None:
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"]


def test_upload_takes_a_zip_a_dicom_file_or_a_form(document: Any) -> None:
    body = document["paths"]["/v1/studies"]["post"]["requestBody"]

    assert list(body["content"]) == ["application/zip", "application/dicom", "multipart/form-data"]


def test_document_is_made_of_references_that_lead_somewhere(anyone: Caller, document: Any) -> None:
    references = set(
        re.findall(r'"\$ref":"#/components/schemas/(\w+)"', anyone.get("/openapi.json").text)
    )

    assert references
    assert references <= set(document["components"]["schemas"])


def test_page_of_the_document_is_served_from_here(anyone: Caller) -> None:
    page = anyone.get("/docs")

    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) == 5
    assert {anyone.get(asset).status for asset in assets} == {200}
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["index.html", "../__init__.py", "oauth2-redirect.html", "x"])
def test_other_files_of_that_package_are_not_served(anyone: Caller, name: str) -> None:
    assert anyone.get(f"/docs/assets/{name}").status == 404
