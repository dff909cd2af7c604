"""A batch ends image by image: written once, failed alone, tried again, or given up as lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app.columns import utcnow
from app.database import transaction
from app.jobs.models import JobImage
from app.jobs.states import EventType, ImageStatus, JobStatus
from app.jobs.transitions import transition
from app.storage import StorageError, storage
from app.storage.keys import candidates_key, image_key, picture_key
from app.storage.protocol import ByteSource, Storage
from app.uploads.models import Image
from pipeline.archive import read_candidates
from pipeline.contract import unforeseen
from pipeline.run import ImageOutcome
from tests.doubles import pipeline
from tests.doubles.painted import painted_png, row_of_discs
from tests.doubles.pipeline import script
from tests.services.client import Client
from tests.services.conftest import MakeWorkplace
from tests.services.workplace import Workplace

DURING_COUNT = Callable[[str], None]


def interrupted(action: DURING_COUNT) -> Any:
    """Return the scripted pipeline that does ``action`` before each image."""

    def count_batch(requests: Any, *, on_progress: Any, **kwargs: Any) -> list[ImageOutcome]:
        def told(key: str, stage: str, share: float) -> None:
            action(key)
            on_progress(key, stage, share)

        return pipeline.count_batch(requests, on_progress=told, **kwargs)

    return count_batch


def kinds(workplace: Workplace, job_id: str) -> list[str]:
    return [event.type for event in workplace.events(job_id)]


def test_a_job_is_counted_written_and_told(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=3), script(count=0), script(count=5))
    workplace.drain()
    job, images = workplace.job(job_id), workplace.images(job_id)
    assert (job.status, job.partial) == (JobStatus.COMPLETED, False)
    assert [image.count for image in images] == [3, 0, 5]
    assert workplace.n_instances(job_id) == 8
    assert [(image.version, image.pictures_version, image.attempts) for image in images] == [(1, 1, 1)] * 3
    assert {(image.lease_owner, image.lease_until) for image in images} == {(None, None)}
    assert kinds(workplace, job_id) == [
        EventType.JOB_QUEUED,
        EventType.JOB_PROCESSING,
        *[EventType.IMAGE_COMPLETED] * 3,
        EventType.JOB_COMPLETED,
    ]


def test_events_add_up_while_images_finish(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=3), script(count=4))
    workplace.drain()
    facts = [
        (e.seq, e.data["processed_images"], e.data["count"], e.data["percentage"])
        for e in workplace.events(job_id)
    ]
    assert facts == [(1, 0, 0, 0.0), (2, 0, 0, 0.0), (3, 1, 3, 50.0), (4, 2, 7, 100.0), (5, 2, 7, 100.0)]


def test_candidates_and_pictures_are_stored_under_their_version(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=2))
    workplace.drain()
    (image,) = workplace.images(job_id)
    with workplace.app.app_context():
        with storage().open(candidates_key(job_id, image.image_id, image.version)) as file:
            assert len(read_candidates(file.read())) == 2
        for name in ("annotated", "heatmap", "rejected"):
            assert storage().exists(picture_key(job_id, image.image_id, 1, name, "jpg"))


def test_provenance_names_the_settings_of_the_request(workplace: Workplace) -> None:
    exemplar = {"box": [0, 0, 8, 8], "positive": True}
    job_id = workplace.submit(script(count=2))
    file_id = workplace.images(job_id)[0].image_id
    again = workplace.submit(file_ids=(file_id,), config={"exemplars": [exemplar | {"file_id": file_id}]})
    workplace.drain()
    result = workplace.images(again)[0].result
    assert result is not None
    assert result["provenance"]["settings"]["exemplars"][0]["file_id"] == file_id


def test_a_poison_image_in_a_batch_of_eight_fails_alone(
    make_workplace: MakeWorkplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace = make_workplace(max_attempts=2)
    scripts = [script(count=n) for n in range(1, 8)]
    scripts.insert(3, script(**{"raise": "poison"}))
    job_id = workplace.submit(*scripts)
    workplace.drain()
    job, images = workplace.job(job_id), workplace.images(job_id)
    assert (job.status, job.partial) == (JobStatus.COMPLETED, True)
    assert [image.count for image in images] == [1, 2, 3, None, 4, 5, 6, 7]
    assert [image.attempts for image in images] == [1, 1, 1, 2, 1, 1, 1, 1]
    assert images[3].error_code == "MAX_RETRIES"
    assert images[3].error_message == f"gave up after 2 attempts; the last: INFERENCE_ERROR: {unforeseen()}"
    assert "RuntimeError: poison" in capsys.readouterr().err
    assert workplace.n_instances(job_id) == sum(range(1, 8))
    last = workplace.events(job_id)[-1]
    assert (last.type, last.data["partial"], last.data["failed_images"]) == ("job.completed", True, 1)


FINAL = [
    "MODEL_LOAD_ERROR", "FILE_ERROR", "FILE_NOT_FOUND", "CORRUPTED_FILE", "INVALID_CONFIG", "OUT_OF_MEMORY",
]  # fmt: skip


@pytest.mark.parametrize("code", FINAL)
def test_what_no_attempt_can_mend_fails_at_once(workplace: Workplace, code: str) -> None:
    job_id = workplace.submit(script(error=code))
    workplace.drain()
    (image,) = workplace.images(job_id)
    assert (image.status, image.error_code, image.attempts) == (ImageStatus.FAILED, code, 1)


def test_a_job_whose_images_all_fail_fails_with_the_first_error(workplace: Workplace) -> None:
    job_id = workplace.submit(script(error="CORRUPTED_FILE"), script(error="FILE_NOT_FOUND"))
    workplace.drain()
    job = workplace.job(job_id)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "CORRUPTED_FILE")
    assert workplace.events(job_id)[-1].data["error"]["code"] == "CORRUPTED_FILE"


def test_a_transient_failure_is_tried_again_later(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace(retry_delays_s=(60, 300))
    job_id = workplace.submit(script(error="STORAGE_ERROR"), script(count=4))
    workplace.drain()
    waiting, done = workplace.images(job_id)
    assert (waiting.status, waiting.lease_owner, done.status) == (
        ImageStatus.QUEUED,
        None,
        ImageStatus.COMPLETED,
    )
    assert timedelta(seconds=40) < waiting.available_at - utcnow() < timedelta(seconds=75)
    assert workplace.job(job_id).status == JobStatus.PROCESSING


def test_a_file_that_is_gone_fails_its_image_only(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=1), script(count=2))
    with workplace.app.app_context(), transaction() as session:
        gone = session.get_one(Image, workplace.images(job_id)[0].image_id)
        storage().delete(image_key(gone.sha256))
    workplace.drain()
    images = workplace.images(job_id)
    assert [(image.error_code, image.count) for image in images] == [("FILE_NOT_FOUND", None), (None, 2)]


class FullStorage:
    """A storage whose disk is full for the first ``n_failures`` writes."""

    def __init__(self, inner: Storage, n_failures: int) -> None:
        self._inner, self._left = inner, n_failures

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put(self, key: str, stream: ByteSource) -> None:
        if self._left:
            self._left -= 1
            raise StorageError("no space left on device")
        self._inner.put(key, stream)


def test_a_full_disk_loses_nothing_and_counts_nothing_twice(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=3), script(count=4))
    workplace.app.extensions["tally_storage"] = FullStorage(workplace.app.extensions["tally_storage"], 2)
    workplace.drain()
    assert workplace.job(job_id).status == JobStatus.COMPLETED
    assert workplace.counts(job_id) == [3, 4]
    assert workplace.n_instances(job_id) == 7
    assert [image.attempts for image in workplace.images(job_id)] == [2, 2]


class SlowStorage:
    """A storage whose writes wait until it is told to go on."""

    def __init__(self, inner: Storage) -> None:
        self._inner, self.go_on = inner, threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put(self, key: str, stream: ByteSource) -> None:
        assert self.go_on.wait(20)
        self._inner.put(key, stream)


def test_an_image_is_counted_while_the_one_before_is_written(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=3), script(count=4))
    slow = SlowStorage(workplace.app.extensions["tally_storage"])
    workplace.app.extensions["tally_storage"] = slow
    begun: list[list[int | None]] = []

    def let_go_at_second(key: str) -> None:
        begun.append(workplace.counts(job_id))
        if len(begun) == 2:
            slow.go_on.set()

    workplace.drain(interrupted(let_go_at_second))
    assert begun == [[None, None], [None, None]]
    assert workplace.counts(job_id) == [3, 4]
    assert workplace.n_instances(job_id) == 7
    assert kinds(workplace, job_id).count(EventType.IMAGE_COMPLETED) == 2


def test_clients_are_not_told_what_a_storage_said(
    make_workplace: MakeWorkplace, capsys: pytest.CaptureFixture[str]
) -> None:
    workplace = make_workplace(max_attempts=1)
    job_id = workplace.submit(script(count=3))
    workplace.app.extensions["tally_storage"] = FullStorage(workplace.app.extensions["tally_storage"], 1)
    workplace.drain()
    message = workplace.images(job_id)[0].error_message
    assert message == "gave up after 1 attempts; the last: STORAGE_ERROR: the result's files cannot be stored"
    assert "no space left on device" in capsys.readouterr().err


def test_a_result_whose_lease_was_lost_is_not_written(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=3))

    def lose(_: str) -> None:
        with workplace.app.app_context(), transaction() as session:
            session.execute(update(JobImage).values(lease_owner="another worker"))

    with workplace.app.app_context():
        workplace.director(interrupted(lose)).work_any()
    (image,) = workplace.images(job_id)
    assert (image.status, image.lease_owner) == (ImageStatus.PROCESSING, "another worker")
    assert (image.count, workplace.n_instances(job_id)) == (None, 0)


def test_a_cancelled_job_stops_and_keeps_no_late_result(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=1), script(count=2), script(count=3))
    begun: list[str] = []

    def cancel_at_second(key: str) -> None:
        begun.append(key)
        if len(begun) == 2:
            workplace.wait(lambda: workplace.counts(job_id)[0] == 1, "the first result")
            with workplace.app.app_context(), transaction() as session:
                assert transition(session, job_id, JobStatus.CANCELLED)

    workplace.drain(interrupted(cancel_at_second))
    images = workplace.images(job_id)
    assert workplace.job(job_id).status == JobStatus.CANCELLED
    assert [image.status for image in images] == ["completed", "cancelled", "cancelled"]
    assert workplace.counts(job_id) == [1, None, None]
    assert workplace.n_instances(job_id) == 1
    assert EventType.JOB_COMPLETED not in kinds(workplace, job_id)


def test_stopping_gives_back_what_was_not_begun(workplace: Workplace) -> None:
    job_id = workplace.submit(script(count=1), script(count=2))
    stopping = threading.Event()
    with workplace.app.app_context():
        workplace.director(interrupted(lambda _: stopping.set()), stopping).work_any()
    done, given_back = workplace.images(job_id)
    assert (done.status, done.count) == (ImageStatus.COMPLETED, 1)
    assert (given_back.status, given_back.attempts) == (ImageStatus.QUEUED, 0)


def test_two_jobs_may_count_the_same_file_in_one_batch(workplace: Workplace) -> None:
    one = workplace.submit(script(count=6))
    other = workplace.submit(file_ids=(workplace.images(one)[0].image_id,))
    workplace.drain()
    assert (workplace.counts(one), workplace.counts(other)) == ([6], [6])
    assert (workplace.n_instances(one), workplace.n_instances(other)) == (6, 6)


@pytest.mark.parametrize("is_counted_before", [False, True], ids=["helper", "stored"])
def test_exemplars_in_an_image_outside_of_the_batch_are_found(
    make_workplace: MakeWorkplace, is_counted_before: bool
) -> None:
    workplace = make_workplace(batch_max=1)
    job_id = workplace.submit(script(count=2), script(count=3))
    first, second = (image.image_id for image in workplace.images(job_id))
    exemplar = {"box": [0, 0, 8, 8], "positive": True, "file_id": first if is_counted_before else second}
    job_id = workplace.submit(file_ids=(first, second), config={"exemplars": [exemplar]})
    seen: list[tuple[list[str], list[str]]] = []

    def count_batch(requests: Any, *, known: Any, **kwargs: Any) -> list[ImageOutcome]:
        files = [request.image_id.partition("/")[2] for request in requests]
        seen.append((files, [key.partition("/")[2] for key in known]))
        return pipeline.count_batch(requests, known=known, **kwargs)

    workplace.drain(count_batch)
    if is_counted_before:
        assert ([first], []) in seen
        assert ([second], [first]) in seen
    else:
        assert ([second, first], []) in seen
    assert workplace.job(job_id).status == JobStatus.COMPLETED
    assert workplace.counts(job_id) == [2, 3]


def test_a_hung_worker_ends_itself(make_workplace: MakeWorkplace, tmp_path: Path) -> None:
    workplace = make_workplace()
    begun = tmp_path / "begun"
    workplace.submit(script(begun=str(begun), wait_for=str(tmp_path / "never")))
    process = workplace.worker("0.5")
    assert process.wait(60) == 75, workplace.logged()
    assert begun.exists()
    assert "no progress, ending this process" in workplace.logged()


def test_the_log_of_a_failure_names_the_request_that_made_the_job(
    make_workplace: MakeWorkplace, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a fault of ours")

    client = Client(make_workplace())
    sent = client.submit(painted_png(row_of_discs(2)))
    client.workplace.drain(broken)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    failed = [line for line in lines if line["message"] == "image failed"]
    assert {line["request_id"] for line in failed} == {sent.headers["X-Request-ID"]}
