"""What every response carries, how often one may ask, and what operators see."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport
from sqlalchemy import insert

from app import create_app
from app.columns import utcnow
from app.config import Config
from app.error_codes import ERROR_CODES
from app.extensions import db
from app.health import service
from app.jobs.queue import report_alive
from app.monitoring import sentry
from app.uploads.models import Upload
from pipeline import weights
from tests.doubles.painted import painted_png, row_of_discs
from tests.servers import RedisServer
from tests.services.client import Client, data_of, error_of
from tests.services.workplace import ROOT, Workplace

AWAY = "redis://127.0.0.1:1/0"
Make = Callable[..., Client]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make a client of an application on SQLite; without Redis unless told."""
    made: list[Workplace] = []

    def build(redis_url: str = AWAY, **settings: Any) -> Client:
        made.append(Workplace(f"sqlite:///{tmp_path / 'tally.sqlite3'}", redis_url, tmp_path, **settings))
        return Client(made[-1])

    yield build
    for workplace in made:
        workplace.close()


def test_every_response_says_its_version_and_request(make: Make) -> None:
    client = make()
    for path in ("/api/jobs", "/api/nothing", "/healthz", "/docs"):
        answer = client.http.get(path)
        assert answer.headers["X-API-Version"] == "1"
        assert re.fullmatch(r"req_[0-9a-z]{26}", answer.headers["X-Request-ID"])
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_sane_request_id_is_taken_over_and_a_strange_one_is_not(make: Make) -> None:
    client = make()
    assert (
        client.get("/jobs", headers={"X-Request-ID": "trace-1.2_3"}).headers["X-Request-ID"] == "trace-1.2_3"
    )
    for strange in ("x" * 65, "a b", "a{b}", ""):
        answer = client.get("/jobs", headers={"X-Request-ID": strange})
        assert answer.headers["X-Request-ID"].startswith("req_")


def test_the_unversioned_address_is_the_newest_version(make: Make) -> None:
    client = make()
    assert client.http.get("/api/jobs").json == client.http.get("/api/v1/jobs").json
    assert error_of(client.http.get("/api/v2/jobs"))["code"] == "NOT_FOUND"
    assert error_of(client.http.get("/api/"))["code"] == "NOT_FOUND"


def test_only_listed_origins_may_call_the_api(make: Make) -> None:
    closed = make().get("/jobs", headers={"Origin": "https://other.example"})
    assert "Access-Control-Allow-Origin" not in closed.headers
    client = make(cors_origins=("https://lab.example",))
    allowed = client.get("/jobs", headers={"Origin": "https://lab.example"})
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://lab.example"
    refused = client.get("/jobs", headers={"Origin": "https://other.example"})
    assert "Access-Control-Allow-Origin" not in refused.headers


def exhaust(client: Client, limit: int) -> None:
    for left in range(limit - 1, -1, -1):
        answer = client.get("/jobs")
        assert (answer.status_code, answer.headers["RateLimit-Remaining"]) == (200, str(left))
    answer = client.get("/jobs")
    assert (answer.status_code, error_of(answer)["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    wanted = f"more than {limit} requests in a minute: wait a moment and try again"
    assert error_of(answer)["message"] == wanted
    assert answer.headers["RateLimit-Limit"] == str(limit)
    assert 1 <= int(answer.headers["Retry-After"]) <= 61


def test_a_client_is_slowed_down_and_told_for_how_long(make: Make, redis_url: str) -> None:
    client = make(redis_url, rate_limit_per_minute=5)
    exhaust(client, 5)
    elsewhere = client.get("/jobs", environ_base={"REMOTE_ADDR": "127.0.0.9"})
    assert elsewhere.status_code == 200


def test_the_limit_holds_over_processes_that_share_redis(make: Make, redis_url: str) -> None:
    for client in (make(redis_url, rate_limit_per_minute=2), make(redis_url, rate_limit_per_minute=2)):
        client.get("/jobs")
    assert client.get("/jobs").status_code == 429


def test_what_is_not_there_counts_as_what_is(make: Make) -> None:
    client = make(rate_limit_per_minute=2)
    told = client.get("/nothing"), client.post("/jobs/any/results"), client.get("/nothing")
    assert [answer.status_code for answer in told] == [404, 405, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in told] == ["1", "0", "0"]


def test_without_redis_the_limit_is_counted_here(make: Make) -> None:
    exhaust(make(rate_limit_per_minute=3), 3)


def test_a_redis_that_goes_away_is_no_error(make: Make, redis_server: RedisServer) -> None:
    client = make(redis_server.url, rate_limit_per_minute=100)
    assert client.get("/jobs").status_code == 200
    redis_server.stop(kill=True)
    for _ in range(3):
        answer = client.get("/jobs")
        assert (answer.status_code, answer.headers["RateLimit-Limit"]) == (200, "100")


@pytest.mark.parametrize(
    "path", ["/healthz", "/metrics", "/api/files/img_none/original", "/docs/errors", "/x.y"]
)
def test_health_metrics_files_and_pages_are_not_limited(make: Make, path: str) -> None:
    client = make(rate_limit_per_minute=1)
    assert {client.http.get(path).status_code for _ in range(4)} <= {200, 404}


def test_ready_says_what_is_missing_one_by_one(make: Make, redis_url: str) -> None:
    client = make(redis_url)
    ready = client.http.get("/readyz")
    states = {name: check["status"] for name, check in (ready.json or {})["checks"].items()}
    assert ready.status_code == 200
    assert states == {"database": "ok", "redis": "ok", "storage": "ok", "worker": "degraded", "weights": "ok"}
    with client.workplace.app.app_context():
        report_alive("w1")
    assert (client.http.get("/readyz").json or {})["checks"]["worker"] == {"status": "ok"}


def test_ready_without_redis_is_degraded_and_without_storage_or_database_it_is_not(make: Make) -> None:
    client = make()
    assert client.http.get("/readyz").status_code == 200
    assert (client.http.get("/readyz").json or {})["checks"]["redis"]["status"] == "degraded"
    (client.workplace.folder / "media").rename(client.workplace.folder / "gone")
    (client.workplace.folder / "media").write_text("no folder")
    answer = client.http.get("/readyz")
    assert (answer.status_code, (answer.json or {})["checks"]["storage"]["status"]) == (503, "failed")
    away = create_app(Config(database_url="mysql+pymysql://x@127.0.0.1:1/x", redis_url=AWAY))
    answer = away.test_client().get("/readyz")
    assert (answer.status_code, (answer.json or {})["checks"]["database"]["status"]) == (503, "failed")
    assert away.test_client().get("/healthz").status_code == 200
    answer = away.test_client().get("/api/jobs")
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (503, "DATABASE_UNAVAILABLE")
    assert answer.headers["Retry-After"] == "5"
    assert "127.0.0.1" not in error["message"]


def test_ready_tells_of_weights_what_is_known_and_never_reads_them(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make(weights_dir=str(tmp_path))
    wanted = weights.entry("open_clip_vit_b_32")  # of no published size: only reading tells

    def check() -> dict[str, str]:
        return dict((client.http.get("/readyz").json or {})["checks"]["weights"])

    assert check() == {"status": "ok", "message": "none: the embedded engines count"}
    (tmp_path / wanted.file).write_bytes(b"not weights")
    with monkeypatch.context() as patch:
        patch.setattr(weights, "file_sha256", lambda file: pytest.fail("read"))
        assert check() == {"status": "ok", "message": f"not verified yet: {wanted.name}"}
    assert weights.state(wanted, tmp_path / wanted.file) == "damaged"
    assert check() == {
        "status": "degraded",
        "message": f"refused (tally doctor says why): {wanted.name}",
    }
    genuine = replace(wanted, sha256=weights.file_sha256(tmp_path / wanted.file))
    monkeypatch.setattr(service, "manifest", lambda: {wanted.name: genuine})
    assert check() == {"status": "ok", "message": f"found: {wanted.name}"}


def test_metrics_have_the_agreed_names_and_bounded_labels(make: Make) -> None:
    client = make()
    job = client.counted(painted_png(row_of_discs(3)))
    body = {"job_id": job["job_id"], "file_id": job["images"][0]["file_id"], "version": 1}
    data_of(client.post("/correct", body | {"edits": [{"op": "remove", "object_id": "c0"}]}))
    client.get("/jobs/job_a")
    client.http.get("/wp-admin.php")
    page = client.http.get("/metrics").get_data(as_text=True)
    for line in (
        'api_requests_total{endpoint="/api/v1/jobs/<string:job_id>",method="GET",status="404"}',
        'api_requests_total{endpoint="none",method="none",status="404"}',
        'corrections_total{kind="remove"}',
        'inference_jobs_total{status="completed"}',
        'detection_count_total{class="other"}',
        'queue_length{queue="tally"}',
        "uploaded_files_total", "count_error_ratio_bucket", "api_request_duration_seconds_bucket",
        "active_jobs", "active_workers", "cpu_usage_percent", "memory_usage_bytes", "batch_size_bucket",
        "lease_expired_total",
        "sse_connections", "model_inference_time_seconds_bucket", "inference_duration_seconds_bucket",
    ):  # fmt: skip
        assert line in page, line
    assert "job_a" not in page
    assert "wp-admin" not in page


def test_metrics_add_up_over_processes(tmp_path: Path) -> None:
    count = "from app.monitoring.metrics import UPLOADED_FILES as c; c.inc(2)"
    read = (
        "from app import create_app; from app.config import Config;"
        f"app = create_app(Config(database_url='sqlite:///{tmp_path / 't.sqlite3'}', redis_url='{AWAY}'));"
        "print(app.test_client().get('/metrics').get_data(as_text=True))"
    )
    folder = tmp_path / "metrics"
    folder.mkdir()
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", code], env=env, cwd=ROOT, check=True, capture_output=True, text=True
        )
        for code in (count, count, read)
    ]
    assert "uploaded_files_total 4.0" in outputs[-1].stdout


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/errors"])
def test_the_documentation_loads_nothing_from_elsewhere(make: Make, path: str) -> None:
    client = make()
    page = client.http.get(path).get_data(as_text=True)
    loaded = set(re.findall(r'(?:src|href|spec-url)="([^"#]+)"', page)) - {"data:,"}
    assert loaded
    for address in loaded:
        assert address.startswith("/")
        assert client.http.get(address).status_code == 200, address
    assert not re.search(r"<script(?![^>]*src=)", page), "the policy allows no inline scripts"


def test_no_asset_of_the_documentation_names_a_foreign_picture(make: Make) -> None:
    client = make()
    answer = client.http.get("/docs/assets/redoc.standalone.js")
    assert b"cdn.redoc.ly" not in answer.data
    again = client.http.get(
        "/docs/assets/redoc.standalone.js", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert again.status_code == 304
    assert client.http.get("/docs/assets/..%2fservice.py").status_code == 404


def test_every_code_has_its_anchor(make: Make) -> None:
    page = make().http.get("/docs/errors").get_data(as_text=True)
    assert set(re.findall(r'<section id="(\w+)">', page)) == set(ERROR_CODES)


class Memory(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events += [event for item in envelope.items if (event := item.get_event()) is not None]


@pytest.fixture
def sent() -> Iterator[list[Any]]:
    memory = Memory()
    sentry.start(Config(sentry_dsn="http://key@127.0.0.1:1/1"), transport=memory)
    yield memory.events
    sentry_sdk.get_client().close(timeout=0)
    sentry_sdk.init(dsn=None)


def broken(client: Client) -> Client:
    """Make GET /jobs fail with a fault of ours: a column is gone and the error handler is not told."""

    def fail() -> None:
        raise RuntimeError("a fault of ours with a secret path /home/someone")

    client.workplace.app.view_functions["jobs.get_job"] = lambda **kwargs: fail()
    return client


def test_a_fault_of_ours_tells_no_internals_and_is_in_the_log(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = broken(make()).get("/jobs/job_x")
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in answer.get_data(as_text=True)
    assert error["request_id"] in error["message"]
    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "secret" in line]
    assert line["request_id"] == error["request_id"]
    assert "RuntimeError" in line["traceback"]


def test_sentry_gets_the_ids_and_nothing_personal(make: Make, sent: list[Any]) -> None:
    headers = {"X-Request-ID": "trace-7", "Cookie": "session=abc", "Authorization": "Bearer abc"}
    broken(make()).get("/jobs/job_x?token=abc", headers=headers)
    (event,) = sent
    assert event["tags"] == {"request_id": "trace-7", "job_id": "job_x"}
    assert event["release"].startswith("tally@")
    assert "abc" not in str(event)
    assert "user" not in event


def test_without_a_dsn_sentry_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: started.append(options))
    sentry.start(Config())
    assert started == []


def test_a_body_that_is_not_called_json_is_not_read_as_json(make: Make) -> None:
    answer = make().http.post("/api/types", data='{"name": "nut"}', content_type="text/plain")
    assert (answer.status_code, error_of(answer)["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_statement_the_database_refuses_is_a_database_error(make: Make) -> None:
    client = make()
    twice = [{"id": "upl_1", "expires_at": utcnow()}] * 2
    client.workplace.app.view_functions["jobs.get_job"] = lambda **kwargs: (
        db.session.execute(insert(Upload), twice) and ""
    )
    answer = client.get("/jobs/job_x")
    assert (answer.status_code, error_of(answer)["code"]) == (500, "DATABASE_ERROR")
