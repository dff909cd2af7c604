"""Saved exemplars and settings: used by later jobs on other photos, kept from retention, changed by name."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from app.columns import utcnow
from app.extensions import db
from app.files.service import purge_expired
from app.templates.service import create_template
from tests.doubles.painted import Disc, painted_png
from tests.services.client import Client, data_of, error_of

SMALL, LARGE = [Disc(20 + 25 * i, 20, 5) for i in range(4)], [Disc(30 + 50 * i, 80, 20) for i in range(2)]
SHOWN, OTHER = painted_png([*SMALL[:2], *LARGE]), painted_png([*SMALL, *LARGE], shade=9)
BOX = [15, 15, 11, 11]


@pytest.fixture
def shown(client: Client) -> dict[str, Any]:
    """A counted job over the picture that the exemplar lies in."""
    return client.counted(SHOWN, type="screw")


def body(shown: dict[str, Any], **changes: Any) -> dict[str, Any]:
    exemplars = [{"file_id": shown["images"][0]["file_id"], "box": BOX}]
    saved = {"name": "M4", "type": "screw", "config": {"count_what": "exemplars"}, "exemplars": exemplars}
    return saved | changes


@pytest.fixture
def saved(client: Client, shown: dict[str, Any]) -> dict[str, Any]:
    template: dict[str, Any] = data_of(client.post("/templates", body(shown)))
    return template


def purge(client: Client) -> int:
    with client.workplace.app.app_context():
        return purge_expired(utcnow() + timedelta(days=8))


def test_a_template_counts_in_later_jobs_on_other_photos(client: Client, saved: dict[str, Any]) -> None:
    job = client.counted(OTHER, type="bolt", config={"template": "M4"})
    assert (job["count"], job["type"]) == (4, "bolt")
    assert job["config"] == {
        "count_what": "exemplars",
        "exemplars": saved["exemplars"],
        "template": "M4",
    }


def test_what_a_template_says_is_asked_for_when_the_request_is_silent(
    client: Client, saved: dict[str, Any]
) -> None:
    answer = client.submit(OTHER, type=None, config={"template": "M4"})
    client.work()
    job = data_of(client.get(f"/jobs/{data_of(answer)['job_id']}"))
    assert (job["type"], job["count"]) == ("screw", 4)
    bare = error_of(client.submit(OTHER, type=None))
    assert (bare["code"], bare["field"]) == ("INVALID_REQUEST", "type")


def test_the_requests_own_settings_win(client: Client, saved: dict[str, Any]) -> None:
    everything = {"template": "M4", "count_what": "everything", "exemplars": []}
    assert client.counted(OTHER, config=everything)["count"] == 6


def test_a_template_survives_retention_and_the_job_it_came_from(
    client: Client, shown: dict[str, Any], saved: dict[str, Any]
) -> None:
    client.http.delete(f"/api/jobs/{shown['job_id']}")
    assert purge(client) == 0
    assert client.counted(OTHER, config={"template": "M4"})["count"] == 4
    assert purge(client) == 1, "only the other photo: the template's is kept"
    assert client.get(f"/files/{shown['images'][0]['file_id']}/original").data == SHOWN
    assert data_of(client.http.delete(f"/api/templates/{saved['template_id']}"))["deleted"] is True
    assert purge(client) == 1, "nobody needs it any more"


def test_a_template_saved_while_the_purge_runs_keeps_its_image(
    client: Client, shown: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.files import service

    chosen_before = service._expired

    def saved_after_the_first_look(condition: Any) -> list[str]:
        ids = chosen_before(condition)
        if ids:
            create_template(body(shown), None)
        return ids

    with monkeypatch.context() as patched:
        patched.setattr(service, "_expired", saved_after_the_first_look)
        with client.workplace.app.app_context():
            assert purge_expired(utcnow() + timedelta(days=8)) == 0
    assert client.counted(OTHER, config={"template": "M4"})["count"] == 4


def test_a_recount_can_use_a_template(client: Client, saved: dict[str, Any]) -> None:
    job = client.counted(OTHER)
    assert job["count"] == 6
    answer = client.post(f"/jobs/{job['job_id']}/recount", {"config": {"template": "M4"}})
    assert data_of(answer)["count"] == 4
    config = data_of(client.get(f"/jobs/{job['job_id']}"))["config"]
    assert (config["template"], config["exemplars"]) == ("M4", saved["exemplars"])


def test_a_recount_by_another_jobs_image_outlives_that_job(
    client: Client, shown: dict[str, Any], saved: dict[str, Any]
) -> None:
    job = client.counted(OTHER)
    data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": {"template": "M4"}}))
    data_of(client.http.delete(f"/api/jobs/{shown['job_id']}"))
    result = client.results(job["job_id"], "?rejected=true")
    assert (result["count"], {one["reason"] for one in result["rejected"]}) == (4, {"unlike_exemplar"})
    body = {"config": {"confidence_threshold": 0.1}}
    assert data_of(client.post(f"/jobs/{job['job_id']}/recount", body))["count"] == 4


def test_a_recount_without_the_templates_candidates_says_so(
    client: Client, shown: dict[str, Any], saved: dict[str, Any]
) -> None:
    client.http.delete(f"/api/jobs/{shown['job_id']}")
    job = client.counted(OTHER)
    recount = f"/jobs/{job['job_id']}/recount"
    error = error_of(client.post(recount, {"config": {"template": "M4"}}))
    assert (error["code"], error["field"]) == ("INVALID_CONFIG", "config.template")
    assert (
        "the template 'M4', exemplars[0].file_id: want an image whose candidates are known"
        in error["message"]
    )
    own = {"template": "M4", "exemplars": saved["exemplars"], "exclude_edge": 3}
    fields = [detail["field"] for detail in error_of(client.post(recount, {"config": own}))["details"]]
    assert fields == ["config.exclude_edge"], "what was sent keeps its name"


def test_templates_are_listed_shown_changed_and_deleted(client: Client, shown: dict[str, Any]) -> None:
    first = client.post("/templates", body(shown))
    assert first.status_code == 201
    data = data_of(first)
    assert (data["name"], data["config"]) == ("M4", {"count_what": "exemplars"})
    assert [image["filename"] for image in data["images"]] == ["photo-0.png"]
    data_of(client.post("/templates", {"name": "Any coin", "type": "coin"}))
    assert [t["name"] for t in data_of(client.get("/templates"))] == ["Any coin", "M4"]
    path = f"/templates/{data['template_id']}"
    assert data_of(client.get(path)) == data
    changed = client.http.patch(f"/api{path}", json={"name": "M5", "exemplars": [], "config": {}})
    assert data_of(changed) == data | {"name": "M5", "exemplars": [], "config": {}, "images": []}
    data_of(client.http.delete(f"/api{path}"))
    assert error_of(client.get(path))["code"] == "TEMPLATE_NOT_FOUND"


def test_two_changes_at_once_keep_the_images_of_the_exemplars_that_stand(
    client: Client, shown: dict[str, Any], saved: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.templates import service

    path, check = f"/api/templates/{saved['template_id']}", service.checked_type
    other = client.counted(OTHER)["images"][0]["file_id"]
    later = {"exemplars": [{"file_id": other, "box": BOX}]}
    second = threading.Thread(target=client.http.patch, args=(path,), kwargs={"json": later})

    def while_the_second_comes(sent: str) -> str:
        monkeypatch.setattr(service, "checked_type", check)
        second.start()
        second.join(0.5)
        return check(sent)

    monkeypatch.setattr(service, "checked_type", while_the_second_comes)
    data_of(client.http.patch(path, json={"exemplars": saved["exemplars"]}))
    second.join(30)
    after = data_of(client.http.get(path))
    assert [image["file_id"] for image in after["images"]] == [other]
    assert after["exemplars"] == later["exemplars"]


def test_a_list_of_templates_takes_as_many_queries_as_one(client: Client, shown: dict[str, Any]) -> None:
    def n_queries() -> int:
        queries: list[str] = []
        with client.workplace.app.app_context():
            engine = db.engine
        event.listen(engine, "before_cursor_execute", heard := lambda *about: queries.append(about[2]))
        data_of(client.get("/templates"))
        event.remove(engine, "before_cursor_execute", heard)
        return len(queries)

    data_of(client.post("/templates", body(shown)))
    with_one = n_queries()
    for i in range(3):
        data_of(client.post("/templates", body(shown, name=f"M{i}")))
    assert n_queries() == with_one


def test_a_jobs_settings_do_not_change_with_its_template(client: Client, saved: dict[str, Any]) -> None:
    job = client.counted(OTHER, config={"template": "M4"})
    client.http.delete(f"/api/templates/{saved['template_id']}")
    body = {"config": {"confidence_threshold": 0.1}}
    assert data_of(client.post(f"/jobs/{job['job_id']}/recount", body))["count"] == 4


def test_one_name_is_one_template(client: Client, saved: dict[str, Any], shown: dict[str, Any]) -> None:
    answer = client.post("/templates", body(shown))
    assert (answer.status_code, error_of(answer)["code"]) == (409, "TEMPLATE_EXISTS")
    other = data_of(client.post("/templates", body(shown, name="m4")))
    clash = client.http.patch(f"/api/templates/{other['template_id']}", json={"name": "M4"})
    assert error_of(clash)["code"] == "TEMPLATE_EXISTS"


def test_a_template_that_is_not_there_is_refused_with_those_that_are(
    client: Client, saved: dict[str, Any]
) -> None:
    error = error_of(client.submit(OTHER, config={"template": "M6"}))
    assert (error["code"], error["field"]) == ("INVALID_CONFIG", "config.template")
    assert "(M4)" in error["message"]
    assert error_of(client.http.patch("/api/templates/tpl_none", json={}))["code"] == "TEMPLATE_NOT_FOUND"
    assert error_of(client.http.delete("/api/templates/tpl_none"))["code"] == "TEMPLATE_NOT_FOUND"


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"config": {"groups": [{"id": 0}]}}, "INVALID_CONFIG", "config.groups"),
        ({"config": {"template": "M4"}}, "INVALID_CONFIG", "config.template"),
        ({"config": {"exemplars": [{"point": [1, 1]}]}}, "INVALID_CONFIG", "config.exemplars"),
        ({"config": {"iou_threshold": 2}}, "INVALID_CONFIG", "config.iou_threshold"),
        ({"config": {"engine": "mini", "model": "vit_b"}}, "INVALID_CONFIG", "config.model"),
        ({"exemplars": [{"box": BOX}]}, "INVALID_CONFIG", "exemplars[0].file_id"),
        ({"exemplars": [{"box": BOX, "file_id": "img_x"}]}, "INVALID_CONFIG", "exemplars[0].file_id"),
        ({"exemplars": [{"file_id": "img_x"}]}, "INVALID_CONFIG", "exemplars[0]"),
        ({"exemplars": [], "config": {"count_what": "exemplars"}}, "INVALID_CONFIG", "exemplars"),
        ({"name": ""}, "INVALID_REQUEST", "name"),
        ({"type": None}, "INVALID_REQUEST", "type"),
    ],
)
def test_a_bad_template_is_named_and_not_saved(
    client: Client, shown: dict[str, Any], changes: dict[str, Any], code: str, field: str
) -> None:
    error = error_of(client.post("/templates", body(shown, **changes)))
    assert (error["code"], error["field"]) == (code, field)
    assert data_of(client.get("/templates")) == []
