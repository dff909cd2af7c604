"""What the README sends is what the API takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from app.corrections.schemas import CorrectionRequestSchema
from app.results.schemas import RecountRequestSchema

README = Path(__file__).resolve().parent.parent.parent / "README.md"


def sent_to(path: str) -> dict[str, object]:
    """Return the JSON that the README's quick start posts to an address ending in ``path``."""
    found = re.search(rf"{path} -H [^\\]*\\\n\s+-d (['\"])(.*)\1\n", README.read_text())
    assert found, path
    return dict(json.loads(found[2].replace('\\"', '"').replace("$JOB", "job_1")))


def test_the_requests_of_the_quick_start_are_complete() -> None:
    assert CorrectionRequestSchema().validate(sent_to("/correct")) == {}
    assert RecountRequestSchema().validate(sent_to("/recount")) == {}
