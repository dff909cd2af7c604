"""Engines and networks that look for long: the rows move meanwhile, and a cancel or a stop is heard."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

from torchvision.models import resnet50  # noqa: E402

from app.database import transaction  # noqa: E402
from app.jobs.states import JobStatus  # noqa: E402
from app.jobs.transitions import transition  # noqa: E402
from app.worker.progress import TICK_S  # noqa: E402
from pipeline import open_clip_labels, resnet  # noqa: E402
from pipeline.contract import STAGES  # noqa: E402
from pipeline.open_clip_labels import ARCHITECTURE, ZeroShot  # noqa: E402
from pipeline.resnet import ResNet50  # noqa: E402
from pipeline.run import STAGE_SHARES, count_batch  # noqa: E402
from pipeline.segment.tiles import TiledSegmenter  # noqa: E402
from tests.doubles.segmenters import PoisonedSegmenter  # noqa: E402
from tests.doubles.small_clip import small_clip  # noqa: E402
from tests.drawn import CENTRES, discs, encoded, ground  # noqa: E402
from tests.services.workplace import SQLITE, Workplace  # noqa: E402

pytestmark = [pytest.mark.deep, SQLITE]  # these tests are about what the pipeline tells

N_OBJECTS = 9
CONFIG = {"confidence_threshold": 0, "sahi": {"enabled": True, "slice_height": 256, "slice_width": 256}}
"""Nine tiles of the photo, for its nine objects."""

Hold = Callable[[Callable[[], None]], None]


@pytest.fixture(params=["segment", "classify", "map_labels"])
def stage(request: pytest.FixtureRequest) -> str:
    """The stage that looks at one tile or patch at a time."""
    return str(request.param)


@pytest.fixture
def hold(stage: str, monkeypatch: pytest.MonkeyPatch) -> Hold:
    """Count with a double of the stage's own; ``hold(f)`` does f before each tile or pass of its."""
    monkeypatch.setattr("pipeline.run.load", lambda *asked: (PoisonedSegmenter("nobody"), "a double"))

    def before(action: Callable[[], None], forward: Any) -> Any:
        def held(*args: Any) -> Any:
            action()
            return forward(*args)

        return held

    def segment_before(action: Callable[[], None]) -> None:
        engine = PoisonedSegmenter("nobody")
        engine.segment = before(action, engine.segment)  # type: ignore[method-assign]
        tiled = TiledSegmenter(engine, tiles_at_once=1)
        monkeypatch.setattr("pipeline.run.load", lambda *asked: (tiled, "a double"))

    def classify_before(action: Callable[[], None]) -> None:
        monkeypatch.setitem(resnet.PATCHES_AT_ONCE, "cpu", 1)
        monkeypatch.setattr(ResNet50, "_forward", before(action, ResNet50._forward))
        torch.manual_seed(3)
        network = ResNet50(resnet50().state_dict(), "cpu")
        monkeypatch.setattr("pipeline.resnet.load", lambda: network)
        monkeypatch.setattr("pipeline.classify.classifier_choice", lambda: ("resnet50", "a test"))

    def label_before(action: Callable[[], None]) -> None:
        monkeypatch.setitem(open_clip_labels.PATCHES_AT_ONCE, "cpu", 1)
        forward = before(action, open_clip_labels._encode_patches)
        monkeypatch.setattr(open_clip_labels, "_encode_patches", forward)
        network = ZeroShot(small_clip(), open_clip.get_tokenizer(ARCHITECTURE), "seeded", "cpu", None)
        monkeypatch.setattr(open_clip_labels, "load", lambda: network)
        monkeypatch.setattr(open_clip_labels, "zero_shot_choice", lambda: (True, "a test"))

    holds = {"segment": segment_before, "classify": classify_before, "map_labels": label_before}
    return holds[stage]


def photo() -> bytes:
    return encoded(discs(ground(600, 600), CENTRES[:N_OBJECTS], 20))


def test_progress_and_lease_move_between_the_passes(workplace: Workplace, stage: str, hold: Hold) -> None:
    job_id = workplace.submit(photo(), config=CONFIG)
    seen: list[float] = []
    leases: list[Any] = []

    def wait_for_news() -> None:
        def has_moved() -> bool:
            (image,) = workplace.images(job_id)
            if image.stage != stage or image.progress <= max(seen, default=0):
                return False
            seen.append(image.progress)
            leases.append(image.lease_until)
            return True

        workplace.wait(has_moved, "progress")

    hold(wait_for_news)
    workplace.drain(count_batch)
    begins = sum(STAGE_SHARES[: STAGES.index(stage)])
    ends = begins + STAGE_SHARES[STAGES.index(stage)]
    steps = [begins + (ends - begins) * done / N_OBJECTS for done in range(N_OBJECTS)]
    assert seen == pytest.approx(steps)
    assert leases == sorted(set(leases))
    assert workplace.counts(job_id) == [N_OBJECTS]


def test_a_cancel_is_heard_between_the_passes(workplace: Workplace, hold: Hold) -> None:
    job_id = workplace.submit(photo(), config=CONFIG)
    passes: list[int] = []

    def cancel_at_second() -> None:
        passes.append(len(passes))
        if len(passes) == 2:
            with workplace.app.app_context(), transaction() as session:
                assert transition(session, job_id, JobStatus.CANCELLED)
        if len(passes) >= 2:
            time.sleep(2 * TICK_S)  # so that the heartbeat comes round

    hold(cancel_at_second)
    workplace.drain(count_batch)
    assert 2 <= len(passes) < N_OBJECTS
    assert workplace.job(job_id).status == JobStatus.CANCELLED
    assert workplace.n_instances(job_id) == 0


def test_a_worker_told_to_stop_finishes_what_its_networks_look_at(workplace: Workplace, hold: Hold) -> None:
    job_id = workplace.submit(photo(), config=CONFIG)
    stopping = threading.Event()
    hold(stopping.set)
    with workplace.app.app_context():
        workplace.director(count_batch, stopping).work_any()
    (image,) = workplace.images(job_id)
    assert (image.count, image.attempts) == (N_OBJECTS, 1)
