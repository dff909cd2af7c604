"""Rules of a config: what no photo would mend is refused before anything is stored or counted."""

from __future__ import annotations

from typing import Any

import pytest

from app.jobs import asked
from tests.doubles.painted import painted_png, row_of_discs
from tests.services.client import Client, data_of, error_of

PHOTO = painted_png(row_of_discs(3))
FIELD = "config.symbolic_reasoning.rules"
WRONG = {
    "no_such_set": "one of counting_frame, parts_name_wholes, typical_size",
    "#script (python)\n#end.": "#script is not allowed",
    "reject(C, x) :- area(C, A) A < 4.": "line 1:28-29: error: syntax error",
    "reject(C, x).": "unsafe",
    "reject(C, x) :- aera(C, A), A < 4.": "line 1:17-27: atom does not occur",
    "p(C) :- candidate(C). p(X+1) :- p(X).": "need more than 2 s",
}


def with_rules(rules: str) -> dict[str, Any]:
    return {"symbolic_reasoning": {"rules": rules}}


@pytest.mark.parametrize("rules", WRONG)
def test_rules_that_no_photo_would_mend_are_refused_at_once(client: Client, rules: str) -> None:
    answer = client.submit(PHOTO, config=with_rules(rules))
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["field"]) == (400, "INVALID_CONFIG", FIELD)
    assert WRONG[rules] in error["details"][0]["message"]
    assert data_of(client.get("/jobs")) == []


@pytest.mark.parametrize("rules", ["no_such_set", "reject(C)."])
def test_a_template_keeps_no_wrong_rules(client: Client, rules: str) -> None:
    answer = client.post("/templates", {"name": "a", "type": "coin", "config": with_rules(rules)})
    assert (answer.status_code, error_of(answer)["field"]) == (400, FIELD)
    saved = data_of(client.post("/templates", {"name": "a", "type": "coin"}))
    changed = client.http.patch(f"/api/templates/{saved['template_id']}", json={"config": with_rules(rules)})
    assert (changed.status_code, error_of(changed)["field"]) == (400, FIELD)


def test_good_rules_are_accepted(client: Client) -> None:
    for rules in ("typical_size", "{ best(C) : candidate(C) } = 1. reject(C, x) :- best(C)."):
        client.accepted(PHOTO, config=with_rules(rules))


def test_without_a_solver_the_text_alone_is_judged(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "has_solver", lambda: False)
    assert error_of(client.submit(PHOTO, config=with_rules("no_such_set")))["field"] == FIELD
    client.accepted(PHOTO, config=with_rules("reject(C, x)."))
