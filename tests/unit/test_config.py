"""Every variable is read once and checked; a malformed one is named, and nothing starts."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from app.cli import main
from app.config import Config, ConfigError

MALFORMED = [
    "TALLY_HOST=",
    "TALLY_PORT=0",
    "TALLY_PORT=http",
    "TALLY_DATABASE_URL=",
    "TALLY_DATABASE_URL=tally.sqlite3",
    "TALLY_DATABASE_URL=sqlite:///",
    "TALLY_DATABASE_URL=mysql://root@db/tally",
    "TALLY_DATABASE_URL=mysql+pymysql:///tally",
    "TALLY_REDIS_URL=localhost:6379",
    "TALLY_STORAGE_URL=",
    "TALLY_STORAGE_URL=gs://bucket",
    "TALLY_STORAGE_URL=s3://",
    "TALLY_S3_ENDPOINT_URL=minio:9000",
    "TALLY_WEIGHTS_DIR=",
    "TALLY_CACHE_DIR= ",
    "TALLY_SENTRY_DSN=https://sentry.example.org/1",
    "TALLY_SENTRY_DSN=https://key@sentry.example.org/project",
    "TALLY_LOG_LEVEL=LOUD",
    "TALLY_CORS_ORIGINS=example.org",
    "TALLY_CORS_ORIGINS=https://example.org,example.com",
    "TALLY_CORS_ORIGINS=https://example.org/",
    "TALLY_RETRY_DELAYS_S=",
    "TALLY_RETRY_DELAYS_S=60,-5",
    "TALLY_QUEUE_TIMEOUT_S=0",
    "TALLY_BATCH_MAX=65",
    "TALLY_TRUST_PROXY=maybe",
]


@pytest.mark.parametrize("line", MALFORMED)
def test_a_malformed_variable_is_named_with_what_was_wanted(line: str) -> None:
    name, _, text = line.partition("=")
    with pytest.raises(ConfigError, match=f"^{name}: want "):
        Config.from_env({name: text})


def test_an_unknown_variable_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"unknown variable TALLY_PROT; .*TALLY_PORT"):
        Config.from_env({"TALLY_PROT": "80", "PORT": "80"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TALLY_DATABASE_URL", "mysql://tally:geheim@db/tally"),
        ("TALLY_REDIS_URL", "tcp://:geheim@redis"),
        ("TALLY_SENTRY_DSN", "https://geheim@sentry"),
    ],
)
def test_a_password_is_not_repeated(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({name: text})
    assert "geheim" not in str(caught.value)


def test_a_production_is_read_as_it_is_written() -> None:
    found = Config.from_env(
        {
            "TALLY_DATABASE_URL": "mysql+pymysql://tally:p%40ss@db:3306/tally?charset=utf8mb4",
            "TALLY_REDIS_URL": "rediss://:pass@redis:6380/1",
            "TALLY_STORAGE_URL": "s3://photos/tally",
            "TALLY_S3_ENDPOINT_URL": "http://minio:9000",
            "TALLY_SENTRY_DSN": "https://key@o1.ingest.example.org/42",
            "TALLY_LOG_LEVEL": "warning",
            "TALLY_CORS_ORIGINS": "https://example.org, http://localhost:5173",
            "TALLY_RETRY_DELAYS_S": "0",
            "TALLY_QUEUE_TIMEOUT_S": "300",
            "TALLY_TRUST_PROXY": "true",
        }
    )
    assert found.sqlalchemy_url == "mysql+pymysql://tally:p%40ss@db:3306/tally?charset=utf8mb4"
    assert found.redis_connection_url == "rediss://:pass@redis:6380/1"
    assert found.cors_origins == ("https://example.org", "http://localhost:5173")
    assert (found.retry_delays_s, found.queue_timeout_s, found.trust_proxy) == ((0,), 300, True)


def test_a_database_may_be_reached_by_a_socket() -> None:
    url = "mysql+pymysql://tally@/tally?unix_socket=/run/mysqld/mysqld.sock"
    assert Config.from_env({"TALLY_DATABASE_URL": url}).sqlalchemy_url == url


@pytest.mark.parametrize(
    "command", ["up", "worker", "scheduler", "db upgrade", "jobs reconcile", "media purge"]
)
def test_nothing_starts_with_a_malformed_variable(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_LOG_LEVEL", "LOUD")
    done = CliRunner().invoke(main, command.split())
    assert (done.exit_code, "TALLY_LOG_LEVEL: want DEBUG, INFO, WARNING or ERROR" in done.output) == (1, True)
