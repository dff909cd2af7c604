"""Groups over HTTP: named, left out, carried to other images, kept beside human edits, checked."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.ops.kinds import Features, KindTree, kind_tree
from tests.doubles import painted
from tests.doubles.painted import Disc, painted_png, row_of_discs
from tests.services.client import Client, data_of, error_of
from tests.services.conftest import MakeWorkplace

NUTS = [Disc(20 + 25 * i, 20) for i in range(5)]
RINGS = [Disc(20 + 25 * i, 60, kind=1) for i in range(3)]
TRAY = painted_png([*NUTS, *RINGS])
"""Group 0: five nuts, c0 to c4. Group 1: three rings, c5 to c7."""


@pytest.fixture
def job(client: Client) -> dict[str, Any]:
    return client.counted(TRAY, type="part")


def recounted(client: Client, job: dict[str, Any], groups: list[Any], **body: Any) -> Any:
    config = {"groups": groups} | body.pop("config", {})
    return client.post(f"/jobs/{job['job_id']}/recount", {"config": config} | body)


def test_a_named_group_has_its_name_everywhere(client: Client, job: dict[str, Any]) -> None:
    answer = data_of(recounted(client, job, [{"id": 0, "name": "nuts"}, {"id": 1, "name": "rings"}]))
    assert (answer["count"], answer["count_before"]) == (8, 8)
    result = client.results(job["job_id"])
    (listed,) = data_of(client.get(f"/jobs/{job['job_id']}"))["images"]
    assert result["by_type"] == listed["by_type"] == {"nuts": 5, "rings": 3}
    assert {d["object_id"]: d["class_name"] for d in result["detections"]}["c6"] == "rings"
    assert result["groups"] == [
        {
            "id": 0,
            "name": "nuts",
            "count": 5,
            "left_out": 0,
            "counted": True,
            "part_of": None,
            "halves": None,
        },
        {
            "id": 1,
            "name": "rings",
            "count": 3,
            "left_out": 0,
            "counted": True,
            "part_of": None,
            "halves": None,
        },
    ]
    (choice, _) = result["provenance"]["settings"]["groups"]
    file_id = job["images"][0]["file_id"]
    assert choice == {"id": 0, "file_id": file_id, "name": "nuts", "counted": None, "split": False}


def test_a_group_left_out_is_shown_with_its_members_and_can_be_taken_back(
    client: Client, job: dict[str, Any]
) -> None:
    drop = [{"id": 1, "name": "rings", "counted": False}]
    preview = data_of(recounted(client, job, drop, dry_run=True))
    assert (preview["count"], preview["images"][0]["count_before"]) == (5, 8)
    assert client.results(job["job_id"])["count"] == 8
    data_of(recounted(client, job, drop))
    result = client.results(job["job_id"], "?rejected=true")
    assert (result["count"], result["groups"][1]) == (
        5,
        {
            "id": 1,
            "name": "rings",
            "count": 0,
            "left_out": 3,
            "counted": False,
            "part_of": None,
            "halves": None,
        },
    )
    assert [(r["object_id"], r["reason"], r["group"]) for r in result["rejected"]] == [
        (f"c{i}", "other_type:rings", 1) for i in (5, 6, 7)
    ]
    data_of(recounted(client, job, []))
    assert client.results(job["job_id"])["count"] == 8


def test_what_a_human_counts_of_a_group_left_out_is_left_out_no_more(
    client: Client, job: dict[str, Any]
) -> None:
    data_of(recounted(client, job, [{"id": 1, "counted": False}]))
    body = {"job_id": job["job_id"], "file_id": job["images"][0]["file_id"], "version": 2}
    added = data_of(client.post("/correct", body | {"edits": [{"op": "add", "point": [20, 60]}]}))
    result = client.results(job["job_id"], "?rejected=true")
    assert (result["count"], len(result["rejected"])) == (6, 2)
    assert [(g["count"], g["left_out"]) for g in result["groups"]] == [(5, 0), (0, 2)]
    data_of(client.post(f"/corrections/{added['correction_id']}/revert"))
    assert [(g["count"], g["left_out"]) for g in client.results(job["job_id"])["groups"]] == [(5, 0), (0, 3)]


def test_a_group_is_split_and_a_half_of_it_left_out(client: Client, job: dict[str, Any]) -> None:
    split = {"id": 0, "split": True}
    preview = data_of(recounted(client, job, [split], dry_run=True))["images"][0]
    assert [(g["id"], g["name"], g["part_of"]) for g in preview["groups"]] == [
        (2, "group 1.1", 0),
        (1, "group 2", None),
        (3, "group 1.2", 0),
    ]
    assert len(preview["group_of"]) == 8
    (half,) = [g["count"] for g in preview["groups"] if g["id"] == 3]
    data_of(recounted(client, job, [split, {"id": 3, "counted": False}, {"id": 2, "name": "hex nuts"}]))
    result = client.results(job["job_id"], "?rejected=true")
    assert result["by_type"] == {"hex nuts": 5 - half, "part": 3}
    gone = {r["object_id"]: (r["reason"], r["group"]) for r in result["rejected"]}
    assert gone == {name: ("other_type:group 1.2", 3) for name, i in preview["group_of"].items() if i == 3}
    assert {d["object_id"]: d["group"] for d in result["detections"]} == {
        name: i for name, i in preview["group_of"].items() if i != 3
    }
    data_of(recounted(client, job, []))
    assert [g["id"] for g in client.results(job["job_id"])["groups"]] == [0, 1]


def test_a_group_with_the_name_asked_for_is_what_is_counted(client: Client) -> None:
    job = client.counted(TRAY, type="washer")
    names = [{"id": 0, "name": "nut"}, {"id": 1, "name": "Washers"}]
    preview = data_of(recounted(client, job, names, dry_run=True))["images"][0]
    assert (preview["count"], preview["counted"]) == (3, ["c5", "c6", "c7"])
    assert {preview["rejected"][f"c{i}"] for i in range(5)} == {"other_type:nut"}
    assert preview["count_interval"][1] < 8
    data_of(recounted(client, job, names))
    result = client.results(job["job_id"])
    assert (result["count"], result["by_type"]) == (3, {"Washers": 3})
    assert [(g["name"], g["count"], g["left_out"]) for g in result["groups"]] == [
        ("Washers", 3, 0),
        ("nut", 0, 5),
    ]
    kept = [names[0] | {"counted": True}, names[1]]
    assert data_of(recounted(client, job, kept))["count"] == 8


def test_what_a_name_leaves_out_stays_out_when_something_is_corrected(client: Client) -> None:
    data_of(client.post("/types", {"name": "die", "synonyms": ["dice"]}))
    job = client.counted(TRAY, type="die")
    assert data_of(recounted(client, job, [{"id": 1, "name": "dice"}]))["count"] == 3
    image = job["images"][0]["file_id"]
    body = {"job_id": job["job_id"], "file_id": image, "version": 2}
    answer = data_of(client.post("/correct", body | {"edits": [{"op": "remove", "object_id": "c5"}]}))
    assert answer["count"] == 2, "a synonym is the name asked for after a correction, too"


@pytest.mark.parametrize(("before", "after", "n"), [([], ["dice"], 8), (["dice"], [], 3)])
def test_a_types_other_words_change_no_count_until_it_is_counted_again(
    client: Client, before: list[str], after: list[str], n: int
) -> None:
    type_id = data_of(client.post("/types", {"name": "die", "synonyms": before}))["type_id"]
    job = client.counted(TRAY, type="die")
    assert data_of(recounted(client, job, [{"id": 1, "name": "dice"}]))["count"] == n
    data_of(client.http.patch(f"/api/types/{type_id}", json={"synonyms": after}))
    result = client.results(job["job_id"], "?rejected=true")
    assert (result["count"], len(result["rejected"])) == (n, 8 - n), "each is counted, or it is rejected"
    body = {"job_id": job["job_id"], "file_id": job["images"][0]["file_id"], "version": 2}
    answer = data_of(client.post("/correct", body | {"edits": [{"op": "remove", "object_id": "c5"}]}))
    assert answer["count"] == n - 1
    again = data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": {}}))
    assert again["count"] == (2 if after else 7)


def test_human_edits_stand_whatever_is_chosen(client: Client, job: dict[str, Any]) -> None:
    (image,) = job["images"]
    edits = [{"op": "remove", "object_id": "c0"}]
    same = {"job_id": job["job_id"], "file_id": image["file_id"]}
    data_of(client.post("/correct", same | {"version": 1, "edits": edits}))
    data_of(recounted(client, job, [{"id": 1, "counted": False}]))
    assert client.results(job["job_id"])["count"] == 4
    back = data_of(
        client.post("/correct", same | {"version": 3, "edits": [{"op": "add", "point": [20, 60]}]})
    )
    assert back["count"] == 5
    data_of(recounted(client, job, [{"id": 0, "name": "nuts"}, {"id": 1, "counted": False}]))
    result = client.results(job["job_id"])
    assert (result["count"], result["by_type"]) == (5, {"nuts": 4, "part": 1})
    assert result["groups"] == [
        {
            "id": 0,
            "name": "nuts",
            "count": 4,
            "left_out": 0,
            "counted": True,
            "part_of": None,
            "halves": None,
        },
        {
            "id": 1,
            "name": "group 2",
            "count": 0,
            "left_out": 2,
            "counted": False,
            "part_of": None,
            "halves": None,
        },
    ]


def test_a_preview_puts_what_a_human_counts_in_no_group_as_the_result_does(client: Client) -> None:
    job = client.counted(painted_png([*NUTS, Disc(20, 60, quality=0.1)]), type="part")
    edits = [{"op": "add", "point": [20, 60]}, {"op": "relabel", "object_id": "c0", "label": "nut"}]
    where = {"job_id": job["job_id"], "file_id": job["images"][0]["file_id"], "version": 1}
    data_of(client.post("/correct", where | {"edits": edits}))
    body = {"config": {"confidence_threshold": 0.05}}
    url = f"/jobs/{job['job_id']}/recount"
    preview = data_of(client.post(url, body | {"dry_run": True}))["images"][0]
    data_of(client.post(url, body))
    result = client.results(job["job_id"])
    assert preview["group_of"] == {f"c{i}": 0 for i in range(5)}
    assert {d["object_id"]: d["group"] for d in result["detections"]} == preview["group_of"] | {"c5": None}
    assert preview["groups"] == result["groups"]


def test_a_choice_can_hold_for_all_images_of_the_job(client: Client) -> None:
    images = TRAY, painted_png([*RINGS, *NUTS[:2]], shade=1), painted_png(NUTS[:4], shade=2)
    job = client.counted(*images, type="part")
    assert [image["count"] for image in job["images"]] == [8, 5, 4]
    drop = [{"file_id": job["images"][0]["file_id"], "id": 1, "name": "rings", "counted": False}]
    here = data_of(recounted(client, job, drop))
    assert [image["count"] for image in here["images"]] == [5, 5, 4]
    everywhere = data_of(recounted(client, job, drop, config={"groups_scope": "job"}))
    assert [image["count"] for image in everywhere["images"]] == [5, 2, 4]
    assert set(everywhere["images"][1]["rejected"].values()) == {"other_type:rings"}
    after = data_of(client.get(f"/jobs/{job['job_id']}/results?file_id={job['images'][1]['file_id']}"))
    assert after["images"][0]["count"] == 2
    edit = {"op": "remove", "object_id": after["images"][0]["detections"][0]["object_id"]}
    where = {"job_id": job["job_id"], "file_id": job["images"][1]["file_id"], "version": 3}
    corrected = data_of(client.post("/correct", where | {"edits": [edit]}))
    assert corrected["count"] == 1, "the choice in the other image still holds when this one is corrected"


def test_chosen_images_are_clustered_once_for_all_images_of_a_job(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.counted(*(painted_png([*NUTS, *RINGS], shade=n) for n in range(4)), type="part")
    drop = [
        {"file_id": image["file_id"], "id": 1, "name": "rings", "counted": False}
        for image in job["images"][:2]
    ]
    clustered: list[int] = []

    def counting(features: Features) -> KindTree:
        clustered.append(len(features.rows))
        return kind_tree(features)

    monkeypatch.setattr("pipeline.groups.kind_tree", counting)
    answer = data_of(recounted(client, job, drop, config={"groups_scope": "job"}))
    assert [image["count"] for image in answer["images"]] == [5, 5, 5, 5]
    assert len(clustered) == 4, "each image once"
    clustered.clear()
    data_of(client.get(f"/jobs/{job['job_id']}/results?rejected=true"))
    assert len(clustered) == 4


def test_choices_sent_for_one_image_are_kept_with_the_job(client: Client) -> None:
    job = client.counted(TRAY, painted_png([*RINGS, *NUTS[:2]], shade=1), type="part")
    first, second = (image["file_id"] for image in job["images"])

    def left_out(file_id: str, group_id: int, **more: Any) -> list[dict[str, Any]]:
        config: dict[str, Any] = {"confidence_threshold": 0.1}
        data_of(recounted(client, job, [{"id": group_id} | more], file_id=file_id, config=config))
        kept = data_of(client.get(f"/jobs/{job['job_id']}"))["config"]
        assert "confidence_threshold" not in kept, "other settings are that image's own"
        return [choice | {"counted": choice.get("counted", True)} for choice in kept["groups"]]

    rings = {"file_id": first, "id": 1, "counted": False}
    assert left_out(first, 1, counted=False) == [rings]
    assert left_out(second, 0, counted=False) == [rings, {"file_id": second, "id": 0, "counted": False}]
    config = {"confidence_threshold": 0.2}
    after = data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": config}))
    assert [image["count"] for image in after["images"]] == [5, 2], "a later recount of all keeps them"
    data_of(recounted(client, job, [], file_id=first))
    assert [c["file_id"] for c in data_of(client.get(f"/jobs/{job['job_id']}"))["config"]["groups"]] == [
        second
    ]
    assert client.results(job["job_id"])["count"] == 8


def test_a_choice_in_one_image_gives_the_others_nothing_to_learn(client: Client) -> None:
    job = client.counted(TRAY, *(painted_png([*RINGS, *NUTS[:n]], shade=n) for n in (1, 2)), type="part")
    taught, second, third = (image["file_id"] for image in job["images"])
    edits = [{"op": "remove", "object_id": "c0"}]
    data_of(
        client.post("/correct", {"job_id": job["job_id"], "file_id": taught, "version": 1, "edits": edits})
    )
    url, lesson = f"/jobs/{job['job_id']}/recount", {"from_corrections": True}
    assert len(data_of(client.post(url, lesson))["images"]) == 2
    choice = {"config": {"groups": [{"id": 0, "name": "odd"}]}, "file_id": second, "from_job_config": True}
    data_of(client.post(url, choice))
    assert data_of(client.post(url, lesson | {"dry_run": True}))["images"] == []
    after = data_of(client.get(f"/jobs/{job['job_id']}"))["images"]
    assert [image["version"] for image in after if image["file_id"] == third] == [2], "it is left as it is"


def test_one_image_keeps_the_settings_it_is_counted_with(client: Client) -> None:
    doubtful = [Disc(20 + 25 * i, 100, quality=0.5) for i in range(4)]
    job = client.counted(painted_png([*NUTS, *RINGS, *doubtful]), TRAY, type="part")
    url, file_id = f"/jobs/{job['job_id']}/recount", job["images"][0]["file_id"]

    def count(config: dict[str, Any], **body: Any) -> int:
        answer = data_of(client.post(url, {"config": config, "file_id": file_id} | body))
        return int(answer["count"])

    assert count({"confidence_threshold": 0.8}) == 8
    assert count({}, dry_run=True) == 8, "as it is stored"
    assert count({"groups": [{"id": 1, "counted": False}]}) == 5
    assert count({"confidence_threshold": 0.1}, dry_run=True) == 9, "the group stays out"
    assert count({}, dry_run=True, from_job_config=True) == 9, "the job knows the group alone"
    everywhere = data_of(client.post(url, {"config": {"iou_threshold": 0.6}}))
    assert [image["count"] for image in everywhere["images"]] == [9, 8], "all images as the job has them"


def test_a_later_recount_keeps_the_choice(client: Client, job: dict[str, Any]) -> None:
    data_of(recounted(client, job, [{"id": 1, "counted": False}]))
    body = {"config": {"confidence_threshold": 0.1}}
    assert data_of(client.post(f"/jobs/{job['job_id']}/recount", body))["count"] == 5


@pytest.mark.parametrize(
    ("groups", "field", "message"),
    [
        ([{"id": 2}], "config.groups[0].id", "want one of the groups 0 to 1 of this image, got 2"),
        ([{"id": 0}, {"id": 0}], "config.groups[1].id", "want each group once"),
        ([{"id": -1}], "config.groups[0].id", "want a whole number"),
        ([{"id": 0, "name": " "}], "config.groups[0].name", "want text"),
        ([{"id": 0, "name": "a\nb"}], "config.groups[0].name", "want printable text"),
        (
            [{"id": 4}, {"id": 0, "split": True}],
            "config.groups[0].id",
            "or a half of one that is split, got 4",
        ),
        ([{"id": 0, "split": None}], "config.groups[0].split", "want true or false"),
        ([{"id": 0, "kept": True}], "config.groups[0].kept", "want only the keys"),
        (
            [{"id": 0, "file_id": "img_x"}],
            "config.groups[0].file_id",
            "want a counted image of this job, got img_x",
        ),
        ([{"id": 0, "file_id": ["img_x"]}], "config.groups[0].file_id", "want a counted image of this job"),
        ([{"id": 0, "file_id": {"a": 1}}], "config.groups[0].file_id", "want a counted image of this job"),
        ([7], "config.groups[0]", "want an object"),
        ({}, "config.groups", "want a list"),
    ],
)
def test_a_bad_choice_is_named(
    client: Client, job: dict[str, Any], groups: Any, field: str, message: str
) -> None:
    answer = recounted(client, job, groups)
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["field"]) == (400, "INVALID_CONFIG", field)
    assert message in error["message"]


def test_in_a_job_of_several_images_a_choice_must_say_which_one(client: Client) -> None:
    job = client.counted(TRAY, painted_png(row_of_discs(2)))
    assert error_of(recounted(client, job, [{"id": 0}]))["field"] == "config.groups[0].file_id"
    only = recounted(client, job, [{"id": 1, "counted": False}], file_id=job["images"][0]["file_id"])
    assert data_of(only)["count"] == 5


def test_groups_cannot_be_chosen_before_there_are_any(client: Client) -> None:
    answer = client.submit(TRAY, config={"groups": [{"id": 0}], "webhook_url": "https://example.org/"})
    assert [d["field"] for d in error_of(answer)["details"]] == ["config.groups", "config.webhook_url"]


def test_a_retry_leaves_choices_behind_that_belong_to_counted_images(make_workplace: MakeWorkplace) -> None:
    client = Client(make_workplace(batch_max=1))
    job_id = client.accepted(TRAY, painted_png(NUTS, shade=3))["job_id"]
    with client.workplace.app.app_context():
        client.workplace.director(painted.count_batch).work_any()
    client.post(f"/jobs/{job_id}/cancel")
    first = data_of(client.get(f"/jobs/{job_id}"))["images"][0]
    groups = [{"file_id": first["file_id"], "id": 1, "counted": False}]
    assert data_of(recounted(client, {"job_id": job_id}, groups))["count"] == 5
    retried = data_of(client.post(f"/jobs/{job_id}/retry"))["job_id"]
    client.work()
    after = data_of(client.get(f"/jobs/{retried}"))
    assert (after["count"], after["config"]) == (5, {})
