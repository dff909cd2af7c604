"""A client of the real application: submits painted images and has them counted in this process."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.doubles import painted
from tests.services.workplace import Workplace


class Client:
    """Speaks HTTP to a ``Workplace``; every answer is the real one."""

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace
        self.http: FlaskClient = workplace.app.test_client()

    def get(self, path: str, **options: Any) -> TestResponse:
        """GET below /api."""
        return self.http.get(f"/api{path}", **options)

    def post(self, path: str, body: Any = None, **options: Any) -> TestResponse:
        """POST JSON below /api."""
        return self.http.post(f"/api{path}", json=body, **options)

    def submit(
        self,
        *images: bytes,
        names: Sequence[str] = (),
        config: dict[str, Any] | str | None = None,
        query: str = "",
        key: str | None = None,
        **form: Any,
    ) -> TestResponse:
        """POST a job over these files; ``form`` overrides or adds fields, None leaves one out."""
        named = [*names, *(f"photo-{i}.png" for i in range(len(names), len(images)))]
        fields = {"type": "coin"} | form
        data = {name: value for name, value in fields.items() if value is not None}
        data["images"] = [(io.BytesIO(image), name) for image, name in zip(images, named, strict=True)]
        if config is not None:
            data["config"] = config if isinstance(config, str) else json.dumps(config)
        headers = {"Idempotency-Key": key} if key is not None else {}
        return self.http.post(f"/api/jobs{query}", data=data, headers=headers)

    def accepted(self, *images: bytes, **options: Any) -> dict[str, Any]:
        """Submit a job that must be accepted; return its data."""
        answer = self.submit(*images, **options)
        assert answer.status_code == 202, answer.get_data(as_text=True)
        return data_of(answer)

    def counted(self, *images: bytes, **options: Any) -> dict[str, Any]:
        """Submit a job and count it; return the job."""
        job_id = self.accepted(*images, **options)["job_id"]
        self.work()
        return data_of(self.get(f"/jobs/{job_id}"))

    def work(self) -> None:
        """Count everything that waits."""
        self.workplace.drain(painted.count_batch)

    def results(self, job_id: str, query: str = "") -> dict[str, Any]:
        """Return the results of a job's first image."""
        image: dict[str, Any] = data_of(self.get(f"/jobs/{job_id}/results{query}"))["images"][0]
        return image


def data_of(answer: TestResponse) -> Any:
    """Return the data of a successful answer."""
    assert answer.status_code < 300, answer.get_data(as_text=True)
    assert answer.json is not None
    return answer.json["data"]


def error_of(answer: TestResponse) -> dict[str, Any]:
    """Return the error of an answer, after looking at its envelope."""
    assert answer.json is not None
    assert answer.json["status"] == "error", answer.json
    error: dict[str, Any] = answer.json["error"]
    assert error["documentation_url"] == f"/docs/errors#{error['code']}"
    assert error["request_id"] == answer.headers["X-Request-ID"]
    return error
