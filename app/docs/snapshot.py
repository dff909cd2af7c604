"""``python -m app.docs.snapshot OPENAPI ERRORS``: write what is made from the code into the repository."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from app import create_app
from app.config import Config
from app.docs.service import errors_markdown, openapi_json


def main(paths: Sequence[str]) -> None:
    """Write the OpenAPI document and, with a second path, the page of errors."""
    with create_app(Config(database_url="sqlite:///:memory:", storage_url="unused")).app_context():
        Path(paths[0]).write_text(openapi_json(), encoding="utf-8")
        for path in paths[1:]:
            Path(path).write_text(errors_markdown(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
