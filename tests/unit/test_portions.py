"""Networks look at any number of things in bounded passes: told, stoppable, within the memory there is."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
open_clip = pytest.importorskip("open_clip")

from torchvision.models import resnet50  # noqa: E402

from pipeline import open_clip_labels, resnet  # noqa: E402
from pipeline.contract import ErrorCode, PipelineError  # noqa: E402
from pipeline.open_clip_labels import ARCHITECTURE, ZeroShot  # noqa: E402
from pipeline.portions import Copies, Passes, Portion  # noqa: E402
from pipeline.resnet import ResNet50  # noqa: E402
from pipeline.types import PatchBatch  # noqa: E402
from tests.doubles.small_clip import small_clip  # noqa: E402
from tests.doubles.small_memory import SmallMemory  # noqa: E402

pytestmark = pytest.mark.deep

PROMPTS = [["metal coin"], ["medicine tablet"], ["human hand"]]
CARD = "meta"
"""Stands in for a GPU: a device of its own, whose memory ``SmallMemory`` limits to nothing."""


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return resnet50().state_dict()


def patches(n: int, side: int = 32) -> PatchBatch:
    pixels = np.random.default_rng(n).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    return PatchBatch(pixels, np.ones((n, side, side), np.bool_))


def zero_shot(device: str = "cpu") -> ZeroShot:
    return ZeroShot(small_clip(), open_clip.get_tokenizer(ARCHITECTURE), "seeded", device, None)


def n_at_once(shares: list[float], n: int) -> list[int]:
    """Return the sizes of the passes that told these shares of n items."""
    return np.diff([0, *(round(share * n) for share in shares)]).tolist()


def test_a_portion_is_halved_to_one_then_begins_anew_on_the_cpu() -> None:
    portion: Portion | None = Portion(4, "patches", "cuda", on_cpu=2)
    said = []
    while portion is not None:
        said.append(str(portion))
        portion = portion.smaller()
    card = [f"{n} of the patches on cuda" for n in (4, 2, 1)]
    assert said == [*card, "2 of the patches on cpu", "1 of the patches on cpu"]


def test_items_and_answers_come_in_order_with_the_share_that_is_done() -> None:
    copies = Copies(torch.nn.Identity(), "cpu")
    passes = Passes(copies, lambda network, device, some: network(some), "numbers", {"cpu": 3, "gpu": 9})
    told: list[float] = []
    parts = list(passes.over(range(7), told.append))
    assert [(list(items), list(answer)) for items, answer in parts] == [
        ([0, 1, 2], [0, 1, 2]),
        ([3, 4, 5], [3, 4, 5]),
        ([6], [6]),
    ]
    assert told == [3 / 7, 6 / 7, 1.0]


class TestResNet50:
    def test_a_cpu_never_looks_at_more_than_32_patches_without_a_word(self, state) -> None:
        told: list[float] = []
        seen = ResNet50(state, "cpu").classify([patches(20), patches(13)], told.append)
        assert [len(one.class_ids) for one in seen] == [20, 13]
        assert told == [32 / 33, 1.0]

    def test_whoever_is_told_may_stop_it(self, state, monkeypatch) -> None:
        monkeypatch.setitem(resnet.PATCHES_AT_ONCE, "cpu", 2)
        told: list[float] = []

        def stop_at_second(share: float) -> None:
            told.append(share)
            if len(told) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            ResNet50(state, "cpu").classify([patches(8)], stop_at_second)
        assert told == [0.25, 0.5]

    def test_fewer_patches_at_once_give_the_same_classes(self, state) -> None:
        network, batch, told = ResNet50(state, "cpu"), patches(6), []
        with SmallMemory(11_000_000):  # a patch takes 3.2 MB in the first layer
            (starved,) = network.classify([batch], told.append)
        (plenty,) = network.classify([batch])
        assert n_at_once(told, 6) == [2, 2, 2]  # 32 and 16 and 8 at once are six, 4 are still too many
        np.testing.assert_array_equal(starved.class_ids, plenty.class_ids)
        np.testing.assert_allclose(starved.class_probs, plenty.class_probs, rtol=1e-4)
        np.testing.assert_allclose(
            starved.embeddings.astype(np.float32), plenty.embeddings.astype(np.float32), rtol=2e-3, atol=1e-2
        )

    def test_a_card_without_memory_leaves_the_work_to_the_cpu(self, state) -> None:
        network, batch, told = ResNet50(state, CARD), patches(3), []
        with SmallMemory(0, CARD):
            (fallen,) = network.classify([batch], told.append)
        (expected,) = ResNet50(state, "cpu").classify([batch])
        np.testing.assert_array_equal(fallen.class_ids, expected.class_ids)
        assert told == [1.0]

    def test_too_little_for_one_patch_is_a_clear_error(self, state) -> None:
        network = ResNet50(state, "cpu")
        with SmallMemory(1_000_000), pytest.raises(PipelineError) as caught:
            network.classify([patches(2)])
        assert caught.value.code == ErrorCode.OUT_OF_MEMORY
        assert str(caught.value) == "not enough memory even for 1 of the patches on cpu"


class TestZeroShotLabels:
    def test_texts_and_patches_are_told_between_passes(self) -> None:
        told: list[float] = []
        network = zero_shot()
        network.probabilities(patches(70), [[str(n)] for n in range(9)], told.append)
        assert told == [0.0, 0.0, 32 / 70, 64 / 70, 1.0]  # nine phrases, eight at once, then the patches

    def test_what_was_learnt_before_a_stop_is_not_learnt_again(self, monkeypatch) -> None:
        monkeypatch.setitem(open_clip_labels.PHRASES_AT_ONCE, "cpu", 1)
        network, told = zero_shot(), []

        def stop(share: float) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            network.label_embeddings(PROMPTS, stop)
        network.label_embeddings(PROMPTS, told.append)
        assert told == [0.0, 0.0]

    def test_fewer_texts_and_patches_at_once_give_the_same_probabilities(self) -> None:
        plenty, network, told = zero_shot().probabilities(patches(12), PROMPTS), zero_shot(), []
        with SmallMemory(1_300_000):
            starved = network.probabilities(patches(12), PROMPTS, told.append)
        assert n_at_once(told, 12) == [0, 0, 0, 2, 2, 2, 2, 2, 2]  # a phrase each, then two patches each
        np.testing.assert_allclose(starved, plenty, atol=1e-5)

    def test_a_card_without_memory_leaves_the_work_to_the_cpu(self) -> None:
        expected = zero_shot().probabilities(patches(5), PROMPTS)
        with SmallMemory(0, CARD):
            fallen = zero_shot(CARD).probabilities(patches(5), PROMPTS)
        np.testing.assert_allclose(fallen, expected, atol=1e-5)

    def test_too_little_for_one_phrase_is_a_clear_error(self) -> None:
        network = zero_shot()
        with SmallMemory(1_000), pytest.raises(PipelineError) as caught:
            network.label_embeddings(PROMPTS)
        assert caught.value.code == ErrorCode.OUT_OF_MEMORY
        assert str(caught.value) == "not enough memory even for 1 of the phrases on cpu"
