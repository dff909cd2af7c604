"""The page shell, its assets, and error pages: what a browser gets, and what a program gets."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import create_app
from app.config import Config
from app.pages.shell import EntryFiles, entry_files

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def build(dist: Path, digest: str) -> None:
    """Leave behind what a build of the frontend does."""
    (dist / "assets").mkdir(parents=True, exist_ok=True)
    (dist / ".vite").mkdir(exist_ok=True)
    (dist / "assets" / f"index-{digest}.js").write_text("start()")
    chunks = {
        "index.html": {
            "file": f"assets/index-{digest}.js",
            "css": [f"assets/index-{digest}.css"],
            "imports": ["_shared.js"],
        },
        "_shared.js": {"file": f"assets/shared-{digest}.js"},
    }
    (dist / ".vite" / "manifest.json").write_text(json.dumps(chunks))


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    return tmp_path / "dist"


@pytest.fixture
def client(tmp_path: Path, dist: Path) -> FlaskClient:
    config = Config(
        database_url=f"sqlite:///{tmp_path / 'tally.sqlite3'}",
        storage_url=str(tmp_path / "media"),
        redis_url="redis://127.0.0.1:1/0",
    )
    app = create_app(config)
    app.config["FRONTEND_DIST"] = dist
    return app.test_client()


def test_the_manifest_names_what_the_shell_loads(dist: Path) -> None:
    build(dist, "a1")
    want = EntryFiles("/assets/index-a1.js", ("/assets/index-a1.css",), ("/assets/shared-a1.js",))
    assert entry_files(dist) == want


def test_a_new_build_is_seen_without_a_restart(dist: Path) -> None:
    build(dist, "a1")
    entry_files(dist)
    build(dist, "b2")
    os.utime(dist / ".vite" / "manifest.json", ns=(1, 1))
    found = entry_files(dist)
    assert found is not None
    assert found.script == "/assets/index-b2.js"


@pytest.mark.parametrize("path", ["/", "/jobs", "/jobs/job_01"])
def test_every_address_of_the_app_gets_the_shell(client: FlaskClient, dist: Path, path: str) -> None:
    build(dist, "a1")
    answer = client.get(path)
    assert answer.status_code == 200
    assert '<script type="module" src="/assets/index-a1.js"></script>' in answer.text
    assert '<link rel="stylesheet" href="/assets/index-a1.css">' in answer.text
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(("found", "taken"), [(None, "jpeg png tiff webp"), ("", "jpeg png tiff webp heic")])
def test_the_shell_says_which_formats_are_taken(
    client: FlaskClient, dist: Path, monkeypatch: pytest.MonkeyPatch, found: str | None, taken: str
) -> None:
    build(dist, "a1")
    monkeypatch.setattr("pipeline.formats.find_spec", lambda name: found)
    assert f'<meta name="tally-formats" content="{taken}">' in client.get("/").text


def test_a_missing_build_says_how_to_make_it(client: FlaskClient) -> None:
    answer = client.get("/", headers=BROWSER)
    assert answer.status_code == 503
    assert "make setup" in answer.text


def test_assets_may_be_kept_for_ever(client: FlaskClient, dist: Path) -> None:
    build(dist, "a1")
    answer = client.get("/assets/index-a1.js", buffered=True)
    assert answer.text == "start()"
    assert "immutable" in answer.headers["Cache-Control"]
    assert "max-age=31536000" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["none.js", "../.vite/manifest.json", "%2e%2e/.vite/manifest.json"])
def test_nothing_outside_the_assets_is_given_out(client: FlaskClient, dist: Path, name: str) -> None:
    build(dist, "a1")
    answer = client.get(f"/assets/{name}")
    assert answer.status_code == 404
    assert "index-a1" not in answer.text


def test_a_browser_gets_a_page_for_an_unknown_address(client: FlaskClient) -> None:
    answer = client.get("/no/such/page", headers=BROWSER)
    assert answer.status_code == 404
    assert answer.mimetype == "text/html"
    assert "There is no such page" in answer.text
    assert answer.headers["X-Request-ID"] in answer.text


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/no/such/page", {}), ("/no/such/page", {"Accept": "application/json"}), ("/api/v1/none", BROWSER)],
    ids=["curl", "json", "api"],
)
def test_programs_and_the_api_get_json(client: FlaskClient, path: str, headers: dict[str, str]) -> None:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 404
    assert answer.get_json()["error"]["code"] == "NOT_FOUND"


def test_a_failed_readiness_check_stays_what_monitors_read(client: FlaskClient, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "media", ignore_errors=True)
    (tmp_path / "media").write_text("a file where the folder was")
    answer = client.get("/readyz", headers=BROWSER)
    assert answer.status_code == 503
    assert "checks" in answer.get_json()


def test_text_in_an_error_page_is_escaped(client: FlaskClient) -> None:
    answer = client.post("/jobs/<b>", headers=BROWSER)
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert "<b>" not in answer.text
