"""However much was corrected, an image has no more examples than a config may have."""

from __future__ import annotations

from pipeline.settings import MAX_EXEMPLARS
from tests.doubles.painted import Disc, painted_png
from tests.services.client import Client, data_of
from tests.services.test_learning import correct, learn, remove

MANY = [Disc(6 + 12 * (i % 13), 6 + 12 * (i // 13), 4) for i in range(120)]


def test_no_more_exemplars_are_taken_than_a_config_may_have(client: Client) -> None:
    job = client.counted(painted_png([*MANY, Disc(150, 115, 4, kind=1)]), painted_png(MANY, shade=1))
    correct(client, job, 0, remove("c120"))
    answer = data_of(learn(client, job))
    assert answer["exemplars"] == {"positive": MAX_EXEMPLARS - 1, "negative": 1}
    assert answer["images"][0]["count"] == 120


def test_what_an_image_learned_gives_way_to_examples_drawn_since(client: Client) -> None:
    """With more of both than a config may have, the image could never be read again."""
    job = client.counted(*(painted_png(MANY, shade=shade) for shade in range(3)))
    second = job["images"][1]["file_id"]
    correct(client, job, 0, remove("c119"))
    data_of(learn(client, job, file_ids=[second]))
    correct(client, job, 1, remove("c0"))
    coin = {"file_id": second, "point": [20, 20], "positive": True}
    data_of(learn(client, job, config={"exemplars": [coin]}))
    where = f"/jobs/{job['job_id']}"
    data_of(client.post(f"{where}/recount", {"config": {"confidence_threshold": 0.3}}))
    result = data_of(client.get(f"{where}/results?file_id={second}"))["images"][0]
    exemplars = result["provenance"]["settings"]["exemplars"]
    assert (len(exemplars), exemplars[0]) == (MAX_EXEMPLARS, coin)
