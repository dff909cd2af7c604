"""What do larger micro-batches, more jobs and work done ahead bring?

python -m bench.batching [--quick] [--json PATH] [--threads N] [--no-vit-b]

Three tables: SAM's encoder by images at once; what a photo goes through before it, with and without resizing
ahead; and the real director on SQLite by images at once, number of jobs, and with or without decoding ahead
(the tests' small SAM, which here says it is on a GPU, so that it gets micro-batches; as "cpu" it gets one
image at once; "waiting" only waits, as a worker does for its GPU, and finds nothing). Configurations take
turns, so that what else the machine does falls on all of them; ``wall_s`` and ``cpu_s`` (of this process) are
for one image.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam

from app.embedded import redis_command, wait_for_redis
from app.worker import persist
from bench.api_load import running
from bench.report import arguments, report
from pipeline import prefetch
from pipeline import run as pipeline_run
from pipeline.contract import CountSettings
from pipeline.portions import OnPart, unheard
from pipeline.run import count_batch
from pipeline.segment.base import EngineInfo, Prepares, Segmenter
from pipeline.segment.outline import CandidateBuilder
from pipeline.segment.sam_fast import FastNet
from pipeline.segment.sam_generate import Generator
from pipeline.segment.sam_segmenter import SamSegmenter
from pipeline.segment.sam_settings import SamSettings
from pipeline.segment.tiles import TiledSegmenter
from pipeline.types import CandidateBatch, Image
from tests.doubles.small_sam import picture, small_sam
from tests.services.workplace import Workplace

SETTINGS = SamSettings(points_per_side=2, pred_iou_thresh=0.65, stability_score_thresh=0.4)
PHOTO_HW = (1600, 2400)
"""Eight of them fit into one micro-batch."""

CALL_S, IMAGE_S = 0.03, 0.12
"""Of the engine that only waits."""

PREPARED_HW = {(1024, 1024): "a tile", (1152, 1536): "the largest not tiled", (3000, 4000): "tiles forbidden"}
"""Photos as SAM's generator gets them."""

Row = dict[str, Any]


class Watched:
    """An engine that counts its calls and says where it runs.

    Attributes:
        sizes: images of each call. seconds: inside the engine, in all.
    """

    def __init__(self, inner: Segmenter, device: str) -> None:
        """Wrap an engine; ``device`` decides how many images it gets at once."""
        self._inner = inner
        self.info = EngineInfo("sam", "small", None, "float32", device)
        self.sizes: list[int] = []
        self.seconds = 0.0

    def prepare(self, image: Image, settings: CountSettings) -> None:
        """Do ahead what the engine does."""
        if isinstance(self._inner, Prepares):
            self._inner.prepare(image, settings)

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        """Return what the engine does."""
        self.sizes.append(len(images))
        started = time.perf_counter()
        found = self._inner.segment(images, settings, on_part)
        self.seconds += time.perf_counter() - started
        return found


class Waiting:
    """A stand-in for a GPU: a call takes its time, and none of the processor's. It finds nothing."""

    info = EngineInfo("sam", "waiting", None, "float32", "cuda")

    def segment(
        self, images: Sequence[Image], settings: CountSettings, on_part: OnPart = unheard
    ) -> list[CandidateBatch]:
        """Return no candidates for each image."""
        time.sleep(CALL_S + IMAGE_S * len(images))
        return [CandidateBuilder(image.size_hw).finish() for image in images]


def encoder_rows(args: argparse.Namespace) -> list[Row]:
    """Return seconds an image of the encoder by images at once, on the CPU."""
    models: dict[str, Sam] = {"small": small_sam()}
    if not (args.quick or args.no_vit_b):
        torch.manual_seed(0)
        models["vit_b"] = sam_model_registry["vit_b"]().eval()
    rows = []
    for name, sam in models.items():
        net = FastNet(sam, torch.device("cpu"))
        side = sam.image_encoder.img_size
        pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 3, side, side)).astype(np.float32))
        sizes = (1, 2, 4) if name == "vit_b" else (1, 2, 4, 8)
        works = {n: lambda n=n, net=net, pixels=pixels: net.encode(pixels[:n]) for n in sizes}
        with torch.inference_mode():
            for n, times in in_turns(works, 2 if name == "vit_b" else 5).items():
                rows.append({"what": f"encoder, {name}", "images_at_once": n} | per_image(times, n))
    return rows


def preparation_rows() -> list[Row]:
    """Return seconds a photo before ViT-B's encoder: it is resized, hashed, normalised and padded."""
    net = FastNet(sam_model_registry["vit_b"]().eval(), torch.device("cpu"))
    net.encode = lambda pixels: torch.zeros(len(pixels), 1)
    generator = Generator(net, SETTINGS, cache_images=0)
    photos = {hw: picture(*hw) for hw in PREPARED_HW}
    ready = {hw: photo.copy() for hw, photo in photos.items()}
    for photo in ready.values():
        generator.prepare(photo)
    works = {
        (hw, ahead): lambda photo=(ready if ahead else photos)[hw]: generator._encode([photo])
        for hw in photos
        for ahead in (False, True)
    }
    with torch.inference_mode():
        found = in_turns(works, 15)
    return [
        {"what": "before the encoder, vit_b", "photo_hw": f"{hw[0]} x {hw[1]}", "as": PREPARED_HW[hw]}
        | {"ahead": ahead}
        | times
        for (hw, ahead), times in found.items()
    ]


def director_rows(args: argparse.Namespace) -> list[Row]:
    """Return images a second through director, pipeline and database, by images at once and jobs."""
    n_images = 8 if args.quick else 16
    plans = [("cuda", 4, 4)] if args.quick else [("cuda", n, 4) for n in (1, 2, 4, 8)]
    plans += [] if args.quick else [("cuda", 4, 1), ("cuda", 4, 8)]
    plans += [("cpu", 1, 4), ("waiting", 4, 4)]
    photos = [jpeg(picture(*PHOTO_HW, seed=seed)) for seed in range(n_images)]
    sam, info = small_sam(), EngineInfo("sam", "small", None, "", "")
    facts: dict[tuple[str, int, int, bool], Row] = {}
    with workplace() as place:

        def work(device: str, at_once: int, n_jobs: int, ahead: bool) -> Callable[[], None]:
            def run() -> None:
                inner = SamSegmenter(sam, info, torch.device("cpu"), SETTINGS)  # a new one remembers nothing
                whole = TiledSegmenter(inner, 1 << 20)  # never tiled: one image, one unit
                engine = Watched(Waiting(), "cuda") if device == "waiting" else Watched(whole, device)
                with engine_of(engine, at_once, ahead):
                    spent = through_director(place, photos, n_jobs)
                facts[device, at_once, n_jobs, ahead] = {
                    "engine_calls": len(engine.sizes),
                    "engine_share": engine.seconds / spent["wall_s"],
                    "persist_share": spent["persist_s"] / spent["wall_s"],
                }

            return run

        works = {(*plan, ahead): work(*plan, ahead) for plan in plans for ahead in (False, True)}
        times = in_turns(works, 1 if args.quick else 3)
    rows: list[Row] = []
    for (device, at_once, n_jobs, ahead), found in times.items():
        row = {"what": "director", "as": device, "images_at_once": at_once, "jobs": n_jobs, "ahead": ahead}
        row |= per_image(found, n_images) | facts[device, at_once, n_jobs, ahead]
        row["faster_by_ahead"] = times[device, at_once, n_jobs, False]["wall_s"] / found["wall_s"]
        rows.append(row)
    return rows


@contextmanager
def workplace() -> Iterator[Workplace]:
    """Give an application on SQLite with a Redis of its own."""
    with tempfile.TemporaryDirectory(prefix="tally-") as name, ExitStack() as stack:
        folder = Path(name)
        url = f"unix://{folder / 'redis.sock'}"
        stack.enter_context(running(redis_command(folder), {}, set()))
        wait_for_redis(url)
        place = Workplace(f"sqlite:///{folder / 'tally.sqlite3'}", url, folder, lease_s=60)
        stack.callback(place.close)
        yield place


def through_director(place: Workplace, photos: Sequence[bytes], n_jobs: int) -> dict[str, float]:
    """Submit the photos as so many jobs, count them, and return where the wall time went."""
    for index in range(n_jobs):
        place.submit(*photos[index::n_jobs])
    spent = {"persist_s": 0.0}
    save = persist.save

    def timed_save(*args: Any) -> bool:
        started = time.perf_counter()
        try:
            return save(*args)
        finally:
            spent["persist_s"] += time.perf_counter() - started

    persist.save = timed_save
    started = time.perf_counter()
    try:
        place.drain(count_batch)
    finally:
        persist.save = save
    return spent | {"wall_s": time.perf_counter() - started}


@contextmanager
def engine_of(engine: Segmenter, at_once: int, ahead: bool) -> Iterator[None]:
    """Count with this engine, so many images at once, with or without decoding ahead."""
    before = pipeline_run.load, pipeline_run.MAX_BATCH_IMAGES, prefetch.MAX_DECODED_PX
    pipeline_run.load = lambda name, model, mode: (engine, "a benchmark")
    pipeline_run.MAX_BATCH_IMAGES = at_once
    prefetch.MAX_DECODED_PX = before[2] if ahead else 0
    try:
        yield
    finally:
        pipeline_run.load, pipeline_run.MAX_BATCH_IMAGES, prefetch.MAX_DECODED_PX = before


def in_turns(works: dict[Any, Callable[[], object]], repeats: int) -> dict[Any, dict[str, float]]:
    """Run one thing unmeasured, then all in turns; return median wall and CPU seconds by key."""
    next(iter(works.values()))()
    seconds: dict[Any, list[tuple[float, float]]] = {key: [] for key in works}
    for _ in range(repeats):
        for key, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            seconds[key].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        key: {"wall_s": statistics.median(w for w, _ in s), "cpu_s": statistics.median(c for _, c in s)}
        for key, s in seconds.items()
    }


def per_image(times: dict[str, float], n_images: int) -> dict[str, float]:
    """Return the seconds of one image, and images a second."""
    return {key: value / n_images for key, value in times.items()} | {
        "images_per_s": n_images / times["wall_s"]
    }


def jpeg(pixels: np.ndarray) -> bytes:
    """Return the encoded photo."""
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "JPEG", quality=85)
    return file.getvalue()


def main() -> None:
    """Measure, print and write."""
    parser = arguments(__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-vit-b", action="store_true", help="leave out the real encoder (a minute)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = encoder_rows(args)
    rows += [] if args.quick or args.no_vit_b else preparation_rows()
    rows += director_rows(args)
    for what in dict.fromkeys(row["what"].split(",")[0] for row in rows):
        report(what, [row for row in rows if row["what"].startswith(what)], None)
    if args.json:
        report("all of it", rows, args.json)


if __name__ == "__main__":
    main()
