"""Write docs/errors.md from the one table of error codes: ``python tools/write_errors_page.py``."""

from __future__ import annotations

from pathlib import Path

from app.docs.service import where
from app.error_codes import ERROR_CODES, ErrorKind

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"
HEAD = """# Errors

Every error of the API has this shape; `code` is stable, `message` is for people:

```json
{"status": "error",
 "error": {"code": "INVALID_CONFIG", "message": "…", "details": [], "field": "config.iou_threshold",
           "timestamp": "2026-01-01T12:00:00Z", "request_id": "req_…",
           "documentation_url": "/docs/errors#INVALID_CONFIG"}}
```

A job or an image that failed carries one of the codes marked *job* as its `error`. `make openapi` writes
this page from `app/error_codes.py`; a running Tally shows the same at `/docs/errors`.
"""


def render() -> str:
    """Return the page: one section a code, in the order of the table."""
    return HEAD + "".join(_section(code, kind) for code, kind in ERROR_CODES.items())


def _section(code: str, kind: ErrorKind) -> str:
    return f"\n## {code}\n\n*{where(code)}* {kind.meaning}\n\nWhat to do: {kind.remedy}\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
