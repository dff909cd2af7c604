"""One application with one counted job, for all contract tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from app.docs.service import openapi_document
from tests.doubles.painted import Disc, painted_png, row_of_discs
from tests.services.client import Client, data_of
from tests.services.workplace import Workplace


@dataclass(frozen=True)
class Office:
    """A client, the document that describes what it meets, and one job of each kind."""

    client: Client
    document: dict[str, Any]
    job_id: str
    file_id: str
    correction_id: str
    type_id: str
    template_id: str
    upload_id: str
    waiting_id: str


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    workplace = Workplace(
        f"sqlite:///{folder / 'tally.sqlite3'}",
        "redis://127.0.0.1:1/0",
        folder,
        rate_limit_per_minute=1_000_000,
    )
    client = Client(workplace)
    job = client.counted(painted_png([*row_of_discs(3), Disc(20, 70, quality=0.2)]))
    file_id = job["images"][0]["file_id"]
    body = {
        "job_id": job["job_id"],
        "file_id": file_id,
        "version": 1,
        "edits": [{"op": "add", "point": [20, 70]}],
    }
    correction = data_of(client.post("/correct", body))
    type_id = data_of(client.post("/types", {"name": "washer"}))["type_id"]
    template = {"name": "M4", "type": "screw", "exemplars": [{"file_id": file_id, "point": [20, 20]}]}
    template_id = data_of(client.post("/templates", template))["template_id"]
    waiting = client.accepted(painted_png(row_of_discs(2)))["job_id"]
    with workplace.app.app_context():
        document = openapi_document()
    made = (correction["correction_id"], type_id, template_id, job["upload_id"], waiting)
    yield Office(client, document, job["job_id"], file_id, *made)
    workplace.close()
