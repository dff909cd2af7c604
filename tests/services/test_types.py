"""The words of types: each can be asked for, and means one type."""

from __future__ import annotations

from typing import Any

import pytest

from app.database import transaction
from app.types.models import ObjectType
from app.types.service import seed_defaults
from tests.doubles.painted import painted_png, row_of_discs
from tests.services.client import Client, data_of, error_of
from tests.services.conftest import MakeWorkplace

NOT_SHOWN = "cöin\u202e"


@pytest.fixture
def client(make_workplace: MakeWorkplace) -> Client:
    """Return a client where there are the types coin (penny) and hex nut."""
    client = Client(make_workplace(rate_limit_per_minute=100_000))
    data_of(client.post("/types", {"name": "coin", "synonyms": ["penny"]}))
    data_of(client.post("/types", {"name": "hex nut"}))
    return client


def made(client: Client, **values: Any) -> str:
    type_id: str = data_of(client.post("/types", values))["type_id"]
    return type_id


CLASHES = [
    ({"name": "COIN"}, "name", "coin"),
    ({"name": "coins"}, "name", "coin"),
    ({"name": "Penny"}, "name", "coin"),
    ({"name": "disc", "synonyms": ["round", "Hex-Nut"]}, "synonyms.1", "hex nut"),
    ({"name": "disc", "synonyms": ["PENNY"]}, "synonyms.0", "coin"),
]


@pytest.mark.parametrize(("body", "field", "other"), CLASHES)
def test_a_word_that_means_another_type_is_refused(
    client: Client, body: dict[str, Any], field: str, other: str
) -> None:
    type_id = made(client, name="bolt")
    for answer in client.post("/types", body), client.http.patch(f"/api/types/{type_id}", json=body):
        error = error_of(answer)
        assert (answer.status_code, error["code"], error["field"]) == (409, "TYPE_EXISTS", field)
        assert error["message"].startswith(f"{field}: want a word that means no other type, got ")
        assert error["message"].endswith(f"which means the type {other!r}")


def test_the_words_of_a_type_itself_may_be_changed(client: Client) -> None:
    type_id = made(client, name="bolt", synonyms=["bolts"])
    body = {"name": "Bolt", "synonyms": ["BOLTS", "bolt"]}
    changed = data_of(client.http.patch(f"/api/types/{type_id}", json=body))
    assert {key: changed[key] for key in body} == body


def test_types_that_clashed_before_stay_as_they_are_and_can_be_changed(client: Client) -> None:
    old = ObjectType(name="COIN", synonyms=["hex nut", NOT_SHOWN])
    with client.workplace.app.app_context(), transaction() as session:
        session.add(old)
        session.flush()
        type_id, words = old.id, {"name": old.name, "synonyms": old.synonyms}
    body = words | {"min_area_px": 10}
    changed = data_of(client.http.patch(f"/api/types/{type_id}", json=body))
    assert {key: changed[key] for key in body} == body
    more = {"synonyms": [*words["synonyms"], "penny"]}
    assert error_of(client.http.patch(f"/api/types/{type_id}", json=more))["field"] == "synonyms.2"


@pytest.mark.parametrize("word", [NOT_SHOWN, "co\u2066in", "  "])
def test_a_word_that_no_job_can_ask_for_is_not_saved(client: Client, word: str) -> None:
    type_id = made(client, name="bolt")
    photo = painted_png(row_of_discs(1))
    assert error_of(client.submit(photo, type=word))["field"] == "type"
    for body, field in (({"name": word}, "name"), ({"name": "disc", "synonyms": [word]}, "synonyms.0")):
        for answer in client.post("/types", body), client.http.patch(f"/api/types/{type_id}", json=body):
            error = error_of(answer)
            assert (answer.status_code, error["code"], error["field"]) == (400, "INVALID_REQUEST", field)


def test_a_word_is_saved_as_a_job_asks_for_it(client: Client) -> None:
    body = {"name": "hex  bolt", "synonyms": [" big   bolt "]}
    saved = data_of(client.post("/types", body))
    assert (saved["name"], saved["synonyms"]) == ("hex bolt", ["big bolt"])


def test_the_words_of_the_bundled_types_mean_one_type_each(make_workplace: MakeWorkplace) -> None:
    client = Client(make_workplace(rate_limit_per_minute=100_000))
    with client.workplace.app.app_context():
        seed_defaults()
    for one in data_of(client.get("/types?page_size=1000")):
        again = {"name": one["name"].upper(), "synonyms": [word.upper() for word in one["synonyms"]]}
        data_of(client.http.patch(f"/api/types/{one['type_id']}", json=again))


def test_the_list_of_jobs_finds_all_words_for_a_type(client: Client) -> None:
    photo = painted_png(row_of_discs(1))
    asked = ("Coins", "penny", "hex-nuts", "Odd thing", "odd things")
    words_of = {client.accepted(photo, type=words)["job_id"]: words for words in asked}

    def found(words: str) -> list[str]:
        jobs = data_of(client.get("/jobs", query_string={"type": words}))
        return sorted(words_of[job["job_id"]] for job in jobs)

    assert found("coin") == found("PENNY") == ["Coins", "penny"]
    assert found("hex nut") == ["hex-nuts"]
    assert found("odd thing") == found("Odd things") == ["Odd thing", "odd things"]
    assert found("nothing of this") == []
