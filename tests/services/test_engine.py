"""The real pipeline behind the real queue: a photo in, a count, pictures and a correction out."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from skimage import data

from app.corrections.service import correct
from app.extensions import db
from app.jobs.models import JobImage
from app.jobs.service import delete_job
from app.jobs.states import JobStatus
from app.monitoring.metrics import BATCH_SIZE, INFERENCE_JOBS, LEASES_EXPIRED
from app.results.service import read_instances
from app.storage import StorageError, storage
from app.storage.keys import picture_folder, picture_key
from app.worker import render
from pipeline.run import count_batch
from tests.doubles.pipeline import script
from tests.drawn import encoded
from tests.services.conftest import MakeWorkplace
from tests.services.test_reconcile import lose_worker, run_round
from tests.services.workplace import SQLITE, Workplace

pytestmark = SQLITE  # these tests are about pixels


def counted_coins(workplace: Workplace) -> str:
    job_id = workplace.submit(encoded(data.coins()), config={"engine": "classical"})
    workplace.drain(count_batch)
    return job_id


def picture(workplace: Workplace, job_id: str, version: int, name: str) -> Any:
    image = workplace.images(job_id)[0]
    with workplace.app.app_context():
        with storage().open(picture_key(job_id, image.image_id, version, name, "jpg")) as file:
            return np.asarray(PillowImage.open(io.BytesIO(file.read())).convert("RGB"), dtype=np.int16)


def drawn_versions(workplace: Workplace, job_id: str) -> set[str]:
    with workplace.app.app_context():
        return {key.split("/")[3] for key in storage().keys(f"pictures/{job_id}")}


def remove_first(workplace: Workplace, job_id: str) -> str:
    with workplace.app.app_context():
        image = db.session.get_one(JobImage, workplace.images(job_id)[0].id)
        gone = read_instances(db.session(), image)[0].object_id
        edit = {"op": "remove", "object_id": gone}
        correct(
            {"job_id": job_id, "file_id": image.image_id, "version": image.version, "edits": [edit]}, None
        )
    return gone


def test_a_photo_of_24_coins_is_counted_by_a_real_worker(workplace: Workplace) -> None:
    job_id = workplace.submit(encoded(data.coins()), config={"engine": "classical"}, announce=True)
    workplace.start("app", "worker")
    assert workplace.wait_end(job_id).status == JobStatus.COMPLETED, workplace.logged()
    (image,) = workplace.images(job_id)
    assert image.count in (23, 24, 25)
    assert workplace.n_instances(job_id) == image.count
    assert image.result is not None
    assert image.result["provenance"]["engine"] == "classical"
    assert picture(workplace, job_id, 1, "annotated").shape == (303, 384, 3)


def test_a_corrected_picture_shows_the_new_count_and_the_old_one_goes(workplace: Workplace) -> None:
    job_id = counted_coins(workplace)
    before = picture(workplace, job_id, 1, "annotated")
    remove_first(workplace, job_id)
    with workplace.app.app_context():
        assert render.render_job(job_id) == 1
    (image,) = workplace.images(job_id)
    assert (image.version, image.pictures_version) == (2, 2)
    after = picture(workplace, job_id, 2, "annotated")
    assert before.shape == after.shape
    assert (np.abs(before - after).max(axis=2) > 60).sum() > 100
    with workplace.app.app_context():
        assert list(storage().keys(picture_folder(job_id, image.image_id, 1))) == []


def test_a_picture_drawn_twice_is_drawn_once(workplace: Workplace) -> None:
    job_id = counted_coins(workplace)
    remove_first(workplace, job_id)
    with workplace.app.app_context():
        assert render.work_any()
        assert render.render_job(job_id) == 0
        assert not render.work_any()


def while_drawing(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let something happen once between reading what the next pictures show and keeping them."""
    draw: Callable[..., dict[str, bytes]] = render.render

    def interrupted(*arguments: Any) -> dict[str, bytes]:
        monkeypatch.setattr(render, "render", draw)
        happens()
        return draw(*arguments)

    monkeypatch.setattr(render, "render", interrupted)


def test_a_picture_is_not_marked_current_when_the_count_changed_while_it_was_drawn(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = counted_coins(workplace)
    remove_first(workplace, job_id)
    while_drawing(monkeypatch, lambda: remove_first(workplace, job_id))
    with workplace.app.app_context():
        assert render.render_job(job_id) == 0
    (image,) = workplace.images(job_id)
    assert (image.version, image.pictures_version) == (3, 1)
    assert drawn_versions(workplace, job_id) == {"v1"}, "what is not current leaves no files"
    with workplace.app.app_context():
        assert render.render_job(job_id) == 1
    assert workplace.images(job_id)[0].pictures_version == 3
    assert drawn_versions(workplace, job_id) == {"v3"}


def test_pictures_that_two_draw_at_once_stay(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = counted_coins(workplace)
    remove_first(workplace, job_id)
    drawn_by_another: list[int] = []
    while_drawing(monkeypatch, lambda: drawn_by_another.append(render.render_job(job_id)))
    with workplace.app.app_context():
        assert render.render_job(job_id) == 0
    assert drawn_by_another == [1], "somebody else was faster"
    assert drawn_versions(workplace, job_id) == {"v2"}


def test_a_job_deleted_while_its_pictures_are_drawn_leaves_none(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = counted_coins(workplace)
    remove_first(workplace, job_id)

    def deleted() -> None:
        with workplace.app.app_context():
            delete_job(job_id)

    while_drawing(monkeypatch, deleted)
    with workplace.app.app_context():
        assert render.render_job(job_id) == 0
    assert drawn_versions(workplace, job_id) == set()


def test_pictures_are_current_though_the_old_ones_cannot_be_deleted(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(prefix: str) -> int:
        raise StorageError(f"no answer for {prefix}")

    job_id = counted_coins(workplace)
    remove_first(workplace, job_id)
    with workplace.app.app_context():
        monkeypatch.setattr(storage(), "delete_prefix", refuses)
        assert render.render_job(job_id) == 1
    assert workplace.images(job_id)[0].pictures_version == 2
    assert drawn_versions(workplace, job_id) == {"v1", "v2"}


def test_pictures_of_a_purged_upload_are_given_up(workplace: Workplace) -> None:
    job_id = counted_coins(workplace)
    remove_first(workplace, job_id)
    with workplace.app.app_context():
        storage().delete_prefix("images")
        assert render.work_any()
        assert not render.work_any()
        (image,) = workplace.images(job_id)
        assert list(storage().keys(f"pictures/{job_id}/{image.image_id}")) == []


def test_a_worker_tells_its_metrics(make_workplace: MakeWorkplace) -> None:
    workplace = make_workplace()
    ended = INFERENCE_JOBS.labels("completed")._value.get()
    batches = BATCH_SIZE._sum.get()
    expired = LEASES_EXPIRED._value.get()
    workplace.submit(script(count=1), script(count=2))
    lose_worker(workplace)
    run_round(workplace)
    workplace.drain()
    assert LEASES_EXPIRED._value.get() == expired + 2
    assert BATCH_SIZE._sum.get() == batches + 2
    assert INFERENCE_JOBS.labels("completed")._value.get() == ended + 1


@pytest.mark.parametrize("module", ["app.worker.reconcile", "app.worker.scheduler", "app.events.stream"])
def test_what_runs_beside_the_models_does_not_load_them(workplace: Workplace, module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'cv2', 'torch', 'skimage'}} & sys.modules.keys()))"
    assert workplace.run(sys.executable, "-c", code).split() == []
