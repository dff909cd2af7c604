"""Corrections help at once: images that no human touched are scored by what was corrected in the others."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage
from sqlalchemy import event

from app.extensions import db
from pipeline.run import count_batch
from tests.doubles.painted import Disc, painted_png
from tests.drawn import Scene, discs, grid, ground
from tests.services.client import Client, data_of, error_of
from tests.services.workplace import SQLITE

pytestmark = SQLITE  # these tests are about exemplars

COINS, PEBBLES = (
    [Disc(20 + 25 * i, 20) for i in range(4)],
    [Disc(20 + 25 * i, 60, kind=1) for i in range(3)],
)
PHOTOS = [painted_png([*COINS, *PEBBLES[:n]], shade=n) for n in (1, 2, 3)]
"""Four coins each, with one, two and three pebbles: c4 is the first pebble."""


@pytest.fixture
def job(client: Client) -> dict[str, Any]:
    return client.counted(*PHOTOS)


def correct(client: Client, job: dict[str, Any], place: int, *edits: dict[str, Any], **body: Any) -> Any:
    image = data_of(client.get(f"/jobs/{job['job_id']}"))["images"][place]
    where = {"job_id": job["job_id"], "file_id": image["file_id"], "version": image["version"]}
    return data_of(client.post("/correct", where | body | ({"edits": list(edits)} if edits else {})))


def remove(object_id: str) -> dict[str, Any]:
    return {"op": "remove", "object_id": object_id}


def learn(client: Client, job: dict[str, Any], **body: Any) -> Any:
    return client.post(f"/jobs/{job['job_id']}/recount", {"from_corrections": True} | body)


def counts(client: Client, job: dict[str, Any]) -> list[int]:
    return [image["count"] for image in data_of(client.get(f"/jobs/{job['job_id']}"))["images"]]


def test_what_is_removed_in_one_image_goes_in_the_others_when_asked(
    client: Client, job: dict[str, Any]
) -> None:
    correct(client, job, 0, remove("c4"))
    assert counts(client, job) == [4, 6, 7], "nothing changes without a request"
    preview = data_of(learn(client, job, dry_run=True))
    assert preview["exemplars"] == {"positive": 4, "negative": 1}
    assert [(i["count_before"], i["count"]) for i in preview["images"]] == [(6, 4), (7, 4)]
    assert preview["images"][0]["count_interval_before"][0] <= 6
    assert (preview["count_before"], preview["count"]) == (13, 8)
    assert counts(client, job) == [4, 6, 7], "a preview changes nothing"
    data_of(learn(client, job))
    after = data_of(client.get(f"/jobs/{job['job_id']}"))
    assert [(i["count"], i["version"], i["count_source"]) for i in after["images"]] == [
        (4, 2, "human"),
        (4, 2, "model"),
        (4, 2, "model"),
    ]
    reasons = data_of(client.get(f"/jobs/{job['job_id']}/results?rejected=true"))["images"][1]["rejected"]
    assert {r["reason"] for r in reasons} == {"unlike_exemplar"}


def test_images_that_teach_are_read_once_however_many_learn(
    client: Client, job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.results import recount

    correct(client, job, 0, remove("c4"))
    data_of(learn(client, job))
    read, keys = recount.read_stored, []
    monkeypatch.setattr(recount, "read_stored", lambda key: keys.append(key) or read(key))
    rejected = data_of(client.get(f"/jobs/{job['job_id']}/results?rejected=true"))["images"]
    assert [len(image["rejected"]) for image in rejected] == [1, 2, 3]
    assert len(keys) == 4, "the first image was counted without exemplars; then its candidates, and two more"


def relabel(object_id: str, label: str) -> dict[str, Any]:
    return {"op": "relabel", "object_id": object_id, "label": label}


def test_what_is_relabelled_to_another_kind_goes_in_the_others(client: Client, job: dict[str, Any]) -> None:
    correct(client, job, 0, relabel("c4", "pebble"))
    answer = data_of(learn(client, job))
    assert answer["exemplars"] == {"positive": 4, "negative": 1}
    assert counts(client, job) == [5, 4, 4]


@pytest.mark.parametrize(
    ("type_name", "config", "label"),
    [
        ("object", {}, "pebble"),
        ("coin", {"count_what": "everything"}, "pebble"),
        ("coin", {}, "Coin"),
    ],
)
def test_a_name_for_what_is_asked_for_is_no_other_kind(
    client: Client, type_name: str, config: dict[str, Any], label: str
) -> None:
    job = client.counted(*PHOTOS, type=type_name, config=config)
    correct(client, job, 0, relabel("c4", label))
    assert data_of(learn(client, job))["exemplars"] == {"positive": 5, "negative": 0}
    assert counts(client, job) == [5, 6, 7]


def test_a_photo_where_everything_was_wrong_teaches_the_others(client: Client) -> None:
    mixed = painted_png([*COINS, *PEBBLES], shade=4)
    job = client.counted(painted_png(PEBBLES), mixed, painted_png(COINS, shade=5))
    correct(client, job, 0, *(remove(f"c{i}") for i in range(3)))
    answer = data_of(learn(client, job))
    assert answer["exemplars"] == {"positive": 0, "negative": 3}
    assert counts(client, job) == [0, 4, 4]


@pytest.mark.parametrize("lesson", [True, False], ids=["from corrections", "other settings"])
def test_corrections_are_read_at_once_for_all_images(
    client: Client, job: dict[str, Any], *, lesson: bool
) -> None:
    correct(client, job, 0, remove("c4"))
    asked: list[str] = []
    with client.workplace.app.app_context():
        engine = db.engine

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM corrections" in statement:
            asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    answer = client.post(f"/jobs/{job['job_id']}/recount", {"from_corrections": lesson, "dry_run": True})
    event.remove(engine, "before_cursor_execute", note)
    assert [image["count"] for image in data_of(answer)["images"]] == ([4, 4] if lesson else [4, 6, 7])
    assert len(asked) == (3 if lesson else 1), "of all, of those that teach, of those that learn"


def test_what_humans_add_counts_in_the_others(client: Client, job: dict[str, Any]) -> None:
    coin = {"file_id": job["images"][0]["file_id"], "point": [20, 20]}
    data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": {"exemplars": [coin]}}))
    assert counts(client, job) == [4, 4, 4]
    correct(client, job, 0, {"op": "add", "point": [20, 60]})
    answer = data_of(learn(client, job, dry_run=True))
    assert answer["exemplars"] == {"positive": 5, "negative": 0}
    assert answer["unseen_additions"] == 0, "the pebble is a candidate"
    assert [i["count"] for i in answer["images"]] == [6, 7]


def test_images_that_a_human_touched_stay_as_they_are(client: Client, job: dict[str, Any]) -> None:
    correct(client, job, 0, remove("c4"))
    correct(client, job, 1, count=99)
    answer = data_of(learn(client, job))
    assert [i["file_id"] for i in answer["images"]] == [job["images"][2]["file_id"]]
    assert counts(client, job) == [4, 99, 4]


def test_only_the_chosen_images_learn_and_a_later_recount_ruins_no_other(
    client: Client, job: dict[str, Any]
) -> None:
    correct(client, job, 0, remove("c4"))
    last = job["images"][2]["file_id"]
    answer = data_of(learn(client, job, file_ids=[last]))
    assert [i["file_id"] for i in answer["images"]] == [last]
    assert counts(client, job) == [4, 6, 4]
    after = data_of(client.get(f"/jobs/{job['job_id']}"))
    assert [i["from_corrections"] for i in after["images"]] == [False, False, True]
    assert "exemplars" not in after["config"]
    other = data_of(client.post(f"/jobs/{job['job_id']}/recount", {"dry_run": True}))
    assert other["images"][1]["count"] == 6


def test_a_recount_of_all_keeps_what_one_image_learned_unless_it_names_examples(
    client: Client, job: dict[str, Any]
) -> None:
    correct(client, job, 0, remove("c4"))
    last = job["images"][2]["file_id"]
    data_of(learn(client, job, file_ids=[last]))
    where = f"/jobs/{job['job_id']}/recount"
    other = {"config": {"confidence_threshold": 0.3}}
    in_view = client.post(where, other | {"file_id": last, "from_job_config": True, "dry_run": True})
    assert [i["count"] for i in data_of(in_view)["images"]] == [4], "the preview says what comes"
    data_of(client.post(where, other))
    assert counts(client, job) == [4, 6, 4]
    after = data_of(client.get(f"/jobs/{job['job_id']}"))
    assert [i["from_corrections"] for i in after["images"]] == [False, False, True]
    assert after["config"] == job["config"] | other["config"], "it stays with the image alone"
    again = data_of(learn(client, job, dry_run=True))
    assert [i["file_id"] for i in again["images"]] == [job["images"][1]["file_id"]], "it has nothing to learn"
    data_of(client.post(where, {"config": {"exemplars": []}}))
    assert counts(client, job) == [4, 6, 7]


def test_an_image_keeps_its_own_lesson_beside_examples_drawn_and_not_the_others(
    client: Client, job: dict[str, Any]
) -> None:
    where, last = f"/jobs/{job['job_id']}/recount", job["images"][2]["file_id"]
    coin = {"file_id": job["images"][1]["file_id"], "point": [20, 20], "positive": True}
    data_of(client.post(where, {"config": {"exemplars": [coin]}}))
    correct(client, job, 0, {"op": "add", "point": [20, 60]})
    data_of(learn(client, job, file_ids=[last]))
    assert counts(client, job) == [5, 4, 7]
    data_of(client.post(where, {"config": {"confidence_threshold": 0.3}}))
    assert counts(client, job) == [5, 4, 7]
    result = data_of(client.get(f"/jobs/{job['job_id']}/results?file_id={last}"))["images"][0]
    assert result["provenance"]["settings"]["exemplars"][0] == coin


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"file_ids": ["img_none"]}, "FILE_NOT_FOUND"),
        ({"file_ids": [], "from_corrections": False}, "INVALID_REQUEST"),
        ({"file_ids": [], "file_id": "img_none"}, "INVALID_REQUEST"),
    ],
)
def test_a_choice_of_images_that_means_nothing_is_refused(
    client: Client, job: dict[str, Any], body: dict[str, Any], code: str
) -> None:
    correct(client, job, 0, remove("c4"))
    assert error_of(learn(client, job, **body))["code"] == code


def test_what_is_learned_already_is_not_offered_again(client: Client, job: dict[str, Any]) -> None:
    correct(client, job, 0, remove("c4"))
    data_of(learn(client, job, file_ids=[job["images"][2]["file_id"]]))
    again = data_of(learn(client, job, dry_run=True))
    assert [i["file_id"] for i in again["images"]] == [job["images"][1]["file_id"]]
    data_of(learn(client, job))
    assert data_of(learn(client, job, dry_run=True))["images"] == []
    correct(client, job, 0, remove("c0"))
    assert len(data_of(learn(client, job, dry_run=True))["images"]) == 2, "there is more to learn"


def test_a_count_that_the_corrections_may_ruin_is_told(client: Client) -> None:
    few_coins = painted_png([*COINS[:1], *PEBBLES], shade=7)
    job = client.counted(PHOTOS[0], PHOTOS[1], painted_png(PEBBLES, shade=5), few_coins)
    correct(client, job, 0, remove("c4"))
    answer = data_of(learn(client, job, dry_run=True))
    assert [(i["count_before"], i["count"], i["doubt"]) for i in answer["images"]] == [
        (6, 4, None),
        (3, 0, "nothing would be left"),
        (4, 1, "far fewer would be counted"),
    ]


def test_a_count_that_the_corrections_swell_is_told(client: Client, job: dict[str, Any]) -> None:
    coin = {"file_id": job["images"][0]["file_id"], "point": [20, 20]}
    data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": {"exemplars": [coin]}}))
    correct(client, job, 0, {"op": "add", "point": [20, 60]})
    answer = data_of(learn(client, job, dry_run=True))
    assert [(i["count_before"], i["count"], i["doubt"]) for i in answer["images"]] == [
        (4, 6, None),
        (4, 7, "far more would be counted"),
    ]


def test_when_all_are_corrected_nothing_is_left_to_change(client: Client, job: dict[str, Any]) -> None:
    for place in range(3):
        correct(client, job, place, remove("c0"))
    answer = data_of(learn(client, job))
    assert (answer["images"], answer["count"]) == ([], 0)


def test_without_corrected_objects_there_is_nothing_to_learn(client: Client, job: dict[str, Any]) -> None:
    correct(client, job, 0, count=4)
    answer = learn(client, job)
    assert (answer.status_code, error_of(answer)["code"]) == (409, "INVALID_STATE")


def test_a_reverted_correction_teaches_no_more(client: Client, job: dict[str, Any]) -> None:
    made = correct(client, job, 0, remove("c4"))
    data_of(learn(client, job))
    client.post(f"/corrections/{made['correction_id']}/revert")
    correct(client, job, 0, remove("c0"))
    answer = data_of(learn(client, job))
    assert answer["exemplars"] == {"positive": 4, "negative": 1}, "those of before are replaced"
    assert [i["count"] for i in answer["images"]] == [6, 7], "the pebbles are meant again"


def test_a_later_recount_teaches_no_corrected_image(client: Client, job: dict[str, Any]) -> None:
    made = correct(client, job, 0, remove("c4"))
    correct(client, job, 1, count=99)
    data_of(learn(client, job))
    data_of(client.post(f"/jobs/{job['job_id']}/recount", {"config": {"confidence_threshold": 0.3}}))
    after = data_of(client.get(f"/jobs/{job['job_id']}"))["images"]
    assert [i["from_corrections"] for i in after] == [False, False, True]
    assert [sum(i["by_type"].values()) for i in after] == [4, 6, 4], "the second has its outlines yet"
    client.post(f"/corrections/{made['correction_id']}/revert")
    assert counts(client, job) == [5, 99, 4], "what was taken away is counted again"


def test_drawn_exemplars_stay_beside_the_learned_ones(client: Client, job: dict[str, Any]) -> None:
    drawn = {"file_id": job["images"][1]["file_id"], "point": [20, 20], "positive": True}
    client.post(f"/jobs/{job['job_id']}/recount", {"config": {"exemplars": [drawn]}})
    correct(client, job, 0, remove("c3"))
    data_of(learn(client, job))
    data_of(learn(client, job))
    kept = data_of(client.get(f"/jobs/{job['job_id']}"))["config"]["exemplars"]
    assert [e for e in kept if not e.get("corrected")] == [drawn]
    assert sum(e.get("corrected", False) for e in kept) == 4


def test_a_double_that_was_removed_is_no_other_kind_of_thing(client: Client) -> None:
    twins = painted_png([*COINS, Disc(100, 80, 14), Disc(100, 80, 9)])
    job = client.counted(twins, painted_png([*COINS, Disc(100, 80, 9)], shade=5))
    correct(client, job, 0, remove("c4"), remove("c5"), {"op": "add", "box": [91, 71, 18, 18]})
    answer = data_of(learn(client, job, dry_run=True))
    assert answer["exemplars"]["negative"] == 0
    assert answer["images"][0]["count"] == 5


def test_parts_of_a_split_object_do_not_speak_for_the_whole(client: Client) -> None:
    pair = Disc(60, 80, 24, kind=1)
    job = client.counted(painted_png([*COINS, pair]), painted_png([*COINS, pair], shade=6))
    correct(client, job, 0, {"op": "split", "object_id": "c4", "points": [[50, 80], [70, 80]]})
    answer = data_of(learn(client, job, dry_run=True))
    assert answer["exemplars"] == {"positive": 4, "negative": 0}
    assert answer["unseen_additions"] == 0, "nobody added them"


def test_additions_that_no_candidate_stands_for_are_told(client: Client) -> None:
    pair = Disc(60, 80, 24, kind=1)
    job = client.counted(painted_png([*COINS, pair]), painted_png([*COINS, pair], shade=6))
    halves = [{"op": "add", "box": [x, 56, 24, 48]} for x in (36, 60)]
    correct(client, job, 0, remove("c4"), *halves)
    assert data_of(learn(client, job, dry_run=True))["unseen_additions"] == 2, "what it saw was taken away"
    made = correct(client, job, 0, {"op": "add", "box": [120, 60, 16, 16]})
    assert data_of(learn(client, job, dry_run=True))["unseen_additions"] == 3
    (gone,) = [one["object_id"] for one in made["detections"] if one["bbox"]["x1"] == 120]
    correct(client, job, 0, remove(gone))
    answer = data_of(learn(client, job, dry_run=True))
    assert (answer["exemplars"]["positive"], answer["unseen_additions"]) == (4, 2)


def test_other_recounts_tell_nothing_of_additions(client: Client, job: dict[str, Any]) -> None:
    correct(client, job, 0, {"op": "add", "box": [120, 90, 16, 16]})
    answer = data_of(client.post(f"/jobs/{job['job_id']}/recount", {"dry_run": True}))
    assert not {"exemplars", "unseen_additions"} & answer.keys()


def jpeg(scene: Scene) -> bytes:
    file = io.BytesIO()
    PillowImage.fromarray(np.asarray(scene)).save(file, "JPEG", quality=92)
    return file.getvalue()


def drawn_photo(seed: int) -> bytes:
    """Return a photo of twelve red discs and four blue squares."""
    scene = discs(ground(seed=seed), grid(4, 3, 90, start=60), 22, (190, 50, 40))
    for i in range(4):
        corner = (430 + 80 * (i % 2), 60 + 100 * (i // 2))
        cv2.rectangle(scene, corner, (corner[0] + 36, corner[1] + 36), (40, 60, 170), -1)
    return jpeg(scene)


def faint_photo(seed: int) -> bytes:
    """Return a photo of twelve red discs and two that hardly differ from the ground."""
    scene = discs(ground(seed=seed), grid(4, 3, 90, start=60), 22, (190, 50, 40))
    return jpeg(discs(scene, FAINT, 22, (201, 196, 186)))


FAINT = [(480, 100), (480, 250)]
"""Centres in px, of a radius of 22 px."""


def test_on_drawn_photos_one_corrected_image_mends_the_other(client: Client) -> None:
    job = client.accepted(drawn_photo(1), drawn_photo(2), drawn_photo(3), config={"engine": "mini"})
    client.workplace.drain(count_batch)
    assert counts(client, job) == [16, 16, 16]
    found = client.results(job["job_id"], f"?file_id={job['images'][0]['file_id']}")["detections"]
    squares = [d["object_id"] for d in found if d["bbox"]["x1"] > 400]
    correct(client, job, 0, *(remove(one) for one in squares))
    answer = data_of(learn(client, job))
    assert [(i["count_before"], i["count"]) for i in answer["images"]] == [(16, 12), (16, 12)]
    assert counts(client, job) == [12, 12, 12]


def test_on_drawn_photos_what_the_engine_does_not_see_is_told(client: Client) -> None:
    job = client.accepted(faint_photo(1), faint_photo(2), config={"engine": "mini"})
    client.workplace.drain(count_batch)
    assert counts(client, job) == [12, 12]
    correct(client, job, 0, remove("c0"))
    red = client.results(job["job_id"], "?rejected=true")["rejected"][0]["bbox"]
    again = {"op": "add", "point": [(red["x1"] + red["x2"]) / 2, (red["y1"] + red["y2"]) / 2]}
    correct(client, job, 0, again, *({"op": "add", "box": [x - 22, y - 22, 44, 44]} for x, y in FAINT))
    answer = data_of(learn(client, job, dry_run=True))
    assert answer["exemplars"] == {"positive": 12, "negative": 0}, "all but the faint ones"
    assert answer["unseen_additions"] == 2
    assert [(i["count_before"], i["count"]) for i in answer["images"]] == [(12, 12)]
