"""The encoder is compiled before the first image: shown with a compiler that counts what it is given."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

torch = pytest.importorskip("torch")

from pipeline.contract import CountSettings  # noqa: E402
from pipeline.segment import sam_fast  # noqa: E402
from pipeline.segment.base import EngineInfo  # noqa: E402
from pipeline.segment.sam_fast import FastNet  # noqa: E402
from pipeline.segment.sam_generate import Generator  # noqa: E402
from pipeline.segment.sam_segmenter import SamSegmenter  # noqa: E402
from pipeline.segment.sam_settings import SamSettings  # noqa: E402
from pipeline.types import Image  # noqa: E402
from tests.doubles.small_memory import IMPOSSIBLE_BYTES, SmallMemory  # noqa: E402
from tests.doubles.small_sam import picture, small_sam  # noqa: E402

pytestmark = pytest.mark.deep
CPU = torch.device("cpu")
SETTINGS = SamSettings(points_per_side=4, pred_iou_thresh=0.6, stability_score_thresh=0.4)
INFO = EngineInfo("sam", "small", None, "", "")
Run = Callable[..., Sequence[torch.Tensor]]


class Compiler:
    """Compiles nothing, as torch's own "eager" backend; on a card its place is inductor's.

    Attributes:
        batches: images of each batch that a graph was asked for.
        too_large: batches of as many find no memory when they run.
    """

    def __init__(self, too_large: int = 2**10) -> None:
        self.batches: list[int] = []
        self.too_large = too_large

    def __call__(self, graph: torch.fx.GraphModule, inputs: Sequence[torch.Tensor]) -> Run:
        n = next(len(one) for one in inputs if one.ndim == 4 and one.shape[1:] == (3, 128, 128))
        self.batches.append(n)

        def run(*args: torch.Tensor) -> Sequence[torch.Tensor]:
            torch.empty(IMPOSSIBLE_BYTES if n >= self.too_large else 1, dtype=torch.uint8)
            answer: Sequence[torch.Tensor] = graph.forward(*args)
            return answer

        return run


@pytest.fixture(autouse=True)
def nothing_is_compiled_yet() -> None:
    torch._dynamo.reset()


def compiled(compiler: Compiler) -> FastNet:
    """Return a net whose encoder is compiled, as on a card."""
    net = FastNet(small_sam(), CPU)
    net._encoder = torch.compile(net._eager, backend=compiler, dynamic=False)
    return net


@pytest.mark.parametrize(("images", "batches"), [(1, [1]), (4, [1, 2, 4]), (6, [1, 2, 4, 8])])
def test_every_batch_that_so_many_images_make_is_compiled(images: int, batches: list[int]) -> None:
    compiler = Compiler()
    compiled(compiler).warm_up(images)
    assert compiler.batches == batches


@pytest.mark.parametrize("elsewhere", [False, True], ids=["in this thread", "in another"])
def test_no_image_waits_for_the_compiler_afterwards(elsewhere: bool) -> None:
    compiler, found = Compiler(), []
    generator = Generator(compiled(compiler), SETTINGS)
    generator.net.warm_up(4)  # type: ignore[attr-defined]

    def count() -> None:
        for n in (1, 4, 2):
            found.append(generator.generate([picture(100, 128, 10 * n + k) for k in range(n)], n, 64))

    thread = threading.Thread(target=count)
    thread.start() if elsewhere else count()
    thread.join() if elsewhere else None
    assert [len(masks) for masks in found] == [1, 4, 2]
    assert compiler.batches == [1, 2, 4]


def test_an_engine_warms_up_what_its_first_image_needs() -> None:
    engine, compiler = SamSegmenter(small_sam(), INFO, CPU, SETTINGS), Compiler()
    engine._generators["cpu"].net = compiled(compiler)
    engine.warm_up()
    assert compiler.batches == [1]
    assert len(engine.segment([Image("one", picture(100, 128))], CountSettings())) == 1
    assert compiler.batches == [1]


@pytest.mark.parametrize("mode", ["reference", "exact", "fast"])
def test_a_cpu_computes_nothing_to_warm_up(mode: str) -> None:
    settings = SamSettings(mode=mode)  # type: ignore[arg-type]
    engine = SamSegmenter(small_sam(), INFO, CPU, settings)
    with SmallMemory(2**40) as memory:
        engine.warm_up()
    assert memory.largest_bytes == 0


def test_batches_that_find_no_memory_are_left_to_the_images(caplog: pytest.LogCaptureFixture) -> None:
    compiler = Compiler(too_large=4)
    net = compiled(compiler)
    with caplog.at_level("WARNING"):
        net.warm_up(8)
    assert compiler.batches == [1, 2, 4]
    assert "cannot be warmed up for 4 images" in caplog.text
    net.encode(torch.zeros(2, 3, 128, 128))


def test_a_compiler_that_fails_is_told_once_and_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    asked = []

    def no_compiler(graph: torch.fx.GraphModule, inputs: object) -> None:
        asked.append(graph)
        raise FileNotFoundError("no C compiler")

    net = FastNet(small_sam(), CPU)
    net._encoder = torch.compile(net._eager, backend=no_compiler, dynamic=False)
    with caplog.at_level("WARNING"):
        net.warm_up(8)
    assert (len(asked), caplog.text.count("cannot be compiled here")) == (1, 1)


def test_a_slow_compiler_is_not_waited_for_longer_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = Compiler()
    monkeypatch.setattr(sam_fast, "WARM_UP_S", 0.0)
    compiled(compiler).warm_up(8)
    assert compiler.batches == [1]
