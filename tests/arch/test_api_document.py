"""The API description is complete: every route has a summary, schemas and documented errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from app import create_app
from app.config import Config
from app.extensions import api
from app.security import TAKES_FILES
from app.version import API

METHODS = {"get", "post", "put", "patch", "delete"}


def in_openapi_style(rule: str) -> str:
    """Turn /jobs/<string:job_id> into /jobs/{job_id}."""
    return re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    path = tmp_path_factory.mktemp("app") / "tally.sqlite3"
    return create_app(Config(database_url=f"sqlite:///{path}"))


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    with app.app_context():
        described: dict[str, Any] = api.spec.to_dict()
    return described


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield f"{method.upper()} {path}", item[method]


def test_every_route_of_the_api_is_described(app: Flask, document: dict[str, Any]) -> None:
    described = {name for name, _ in operations(document)}
    served = {
        f"{method} {in_openapi_style(rule.rule)}"
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(API + "/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served, "the API has no routes"
    assert served - described == set()


def test_every_operation_has_a_summary_and_a_unique_name(document: dict[str, Any]) -> None:
    assert [name for name, operation in operations(document) if not operation.get("summary")] == []
    names = [operation.get("operationId") for _, operation in operations(document)]
    assert sorted(set(filter(None, names))) == sorted(names)


def test_every_operation_documents_an_answer_with_content(document: dict[str, Any]) -> None:
    def is_complete(operation: dict[str, Any]) -> bool:
        good = {status: r for status, r in operation["responses"].items() if status.startswith(("2", "3"))}
        return bool(good) and all("content" in r or status in {"204", "304"} for status, r in good.items())

    assert [name for name, operation in operations(document) if not is_complete(operation)] == []


def test_every_operation_documents_its_errors(document: dict[str, Any]) -> None:
    def has_errors(operation: dict[str, Any]) -> bool:
        return any(status == "default" or status[0] in "45" for status in operation["responses"])

    assert [name for name, operation in operations(document) if not has_errors(operation)] == []


def test_every_body_has_a_schema(document: dict[str, Any]) -> None:
    def is_described(operation: dict[str, Any]) -> bool:
        content = operation.get("requestBody", {"content": {}})["content"]
        return all(media.get("schema") for media in content.values())

    assert [name for name, operation in operations(document) if not is_described(operation)] == []


def test_every_body_of_files_and_no_other_may_be_as_large_as_files_are(
    app: Flask, document: dict[str, Any]
) -> None:
    takes_files = {
        name
        for name, operation in operations(document)
        if "multipart/form-data" in operation.get("requestBody", {"content": {}})["content"]
    }
    may_be_large = {
        f"{method} {in_openapi_style(rule.rule)}"
        for rule in app.url_map.iter_rules()
        if rule.endpoint in TAKES_FILES
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert may_be_large == takes_files
