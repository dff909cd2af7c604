"""The OpenAPI document is the one in the repository, and answers say exactly what it describes."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import jsonschema
import pytest
from werkzeug.test import TestResponse

from tests.arch.sources import ROOT
from tests.contract.conftest import Office
from tests.doubles.painted import painted_png, row_of_discs


def test_the_snapshot_is_what_is_served(office: Office) -> None:
    snapshot = json.loads((ROOT / "tests" / "contract" / "openapi.json").read_text(encoding="utf-8"))
    assert office.client.http.get("/openapi.json").json == snapshot, "run `make openapi`"


def test_the_document_is_openapi_3_1(office: Office) -> None:
    assert office.document["openapi"] == "3.1.0"


def test_every_field_has_an_example_or_is_made_of_fields(office: Office) -> None:
    bare = [
        f"{name}.{field}"
        for name, schema in office.document["components"]["schemas"].items()
        for field, spec in schema.get("properties", {}).items()
        if not name.endswith("Answer") and not _is_explained(spec)
    ]
    assert bare == []


def _is_explained(spec: dict[str, Any]) -> bool:
    nested = "$ref" in spec or "$ref" in spec.get("items", {}) or "anyOf" in spec or "allOf" in spec
    return "example" in spec or "description" in spec or nested


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with every object closed: what is sent must be described."""
    closed = copy.deepcopy(document)
    for schema in closed["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    inherited = closed["components"]["schemas"]["ErrorDetail"]
    inherited["additionalProperties"] = True
    return closed


def check(office: Office, path: str, answer: TestResponse) -> None:
    """Raise unless an answer is described, status and every key of it."""
    operation = office.document["paths"][path][answer.request.method.lower()]
    described = operation["responses"][str(answer.status_code)]
    schema = described["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator({**strict(office.document), **schema}).validate(answer.json)


READS = {
    "/api/v1/jobs": "/jobs",
    "/api/v1/jobs/{job_id}": "/jobs/{o.job_id}?overlay=bytes",
    "/api/v1/jobs/{job_id}/status": "/jobs/{o.job_id}/status",
    "/api/v1/jobs/{job_id}/results": "/jobs/{o.job_id}/results?rejected=true",
    "/api/v1/jobs/{job_id}/visualization": "/jobs/{o.job_id}/visualization",
    "/api/v1/corrections": "/corrections",
    "/api/v1/types": "/types",
    "/api/v1/templates": "/templates",
    "/api/v1/templates/{template_id}": "/templates/{o.template_id}",
}


@pytest.mark.parametrize("path", READS)
def test_what_is_read_is_what_is_described(office: Office, path: str) -> None:
    check(office, path, office.client.get(READS[path].format(o=office)))


def test_jobs_that_wait_are_described_too(office: Office) -> None:
    waiting = office.waiting_id
    check(office, "/api/v1/jobs/{job_id}", office.client.get(f"/jobs/{waiting}"))
    check(office, "/api/v1/jobs/{job_id}/status", office.client.get(f"/jobs/{waiting}/status"))
    check(office, "/api/v1/jobs/{job_id}/results", office.client.get(f"/jobs/{waiting}/results"))


def test_what_is_written_answers_as_described(office: Office) -> None:
    client = office.client
    accepted = client.submit(painted_png(row_of_discs(2)), b"GIF89a", query="?partial=true")
    check(office, "/api/v1/jobs", accepted)
    check(office, "/api/v1/jobs", client.submit(b"GIF89a"))
    job_id = (accepted.json or {})["data"]["job_id"]
    check(office, "/api/v1/jobs/{job_id}/cancel", client.post(f"/jobs/{job_id}/cancel"))
    check(office, "/api/v1/jobs/{job_id}/retry", client.post(f"/jobs/{job_id}/retry"))
    check(office, "/api/v1/jobs/{job_id}", client.http.delete(f"/api/jobs/{job_id}"))
    preview = client.post(f"/jobs/{office.job_id}/recount", {"config": {}, "dry_run": True})
    check(office, "/api/v1/jobs/{job_id}/recount", preview)
    stale = {"job_id": office.job_id, "file_id": office.file_id, "version": 99, "count": 1}
    check(office, "/api/v1/correct", client.post("/correct", stale))
    check(office, "/api/v1/correct", client.post("/correct", {}))
    check(office, "/api/v1/types", client.post("/types", {"name": "gasket"}))
    patched = client.http.patch(f"/api/types/{office.type_id}", json={"colour": "#112233"})
    check(office, "/api/v1/types/{type_id}", patched)
    learned = client.post(f"/jobs/{office.job_id}/recount", {"from_corrections": True, "dry_run": True})
    check(office, "/api/v1/jobs/{job_id}/recount", learned)
    done = client.post(f"/corrections/{office.correction_id}/revert")
    check(office, "/api/v1/corrections/{correction_id}/revert", done)


def test_uploads_predictions_and_templates_answer_as_described(office: Office) -> None:
    client = office.client
    sent = {"files": [(io.BytesIO(painted_png(row_of_discs(2))), "a.png"), (io.BytesIO(b"GIF89a"), "b.gif")]}
    check(
        office,
        "/api/v1/inference/upload",
        client.http.post("/api/inference/upload", data=sent, query_string="partial=true"),
    )
    check(office, "/api/v1/inference/upload", client.http.post("/api/inference/upload"))
    for upload_id in (office.upload_id, "upl_none"):
        check(
            office, "/api/v1/inference/predict", client.post("/inference/predict", {"upload_id": upload_id})
        )
    made = client.post("/templates", {"name": "M5", "type": "screw"})
    check(office, "/api/v1/templates", made)
    check(office, "/api/v1/templates", client.post("/templates", {"name": "M5", "type": "screw"}))
    path = f"/api/templates/{(made.json or {})['data']['template_id']}"
    check(office, "/api/v1/templates/{template_id}", client.http.patch(path, json={"type": "bolt"}))
    check(office, "/api/v1/templates/{template_id}", client.http.delete(path))
    check(office, "/api/v1/templates/{template_id}", client.http.delete(path))
