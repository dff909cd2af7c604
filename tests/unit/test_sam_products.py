"""Products through oneDNN against torch's own, and what happens where torch lacks it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from pipeline.segment import sam_products  # noqa: E402
from pipeline.segment.sam_products import linear, matmul_t  # noqa: E402

pytestmark = pytest.mark.deep
FLOAT32_TOLERANCE = {"rtol": 1e-5, "atol": 1e-4}


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_the_torch_that_is_installed_has_onednns_products() -> None:
    """Without them all is right, and half as fast; a new torch that drops them should be noticed."""
    assert sam_products.HAS_ONEDNN


@pytest.mark.parametrize("has_onednn", [True, False])
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_is_torchs_layer(
    monkeypatch: pytest.MonkeyPatch, has_onednn: bool, gelu: bool, bias: bool
) -> None:
    monkeypatch.setattr(sam_products, "HAS_ONEDNN", has_onednn)
    x, weight, b = random(2, 5, 7, 48), random(33, 48), random(33) if bias else None
    want = functional.linear(x, weight, b)
    want = functional.gelu(want) if gelu else want
    torch.testing.assert_close(linear(x, weight, b, gelu), want, **FLOAT32_TOLERANCE)


def test_weights_may_lie_in_memory_as_they_like() -> None:
    x, weight = random(9, 48), random(48, 33).t()
    torch.testing.assert_close(linear(x, weight), x @ weight.t(), **FLOAT32_TOLERANCE)
    wide = random(48, 9)
    torch.testing.assert_close(linear(wide.t(), weight), wide.t() @ weight.t(), **FLOAT32_TOLERANCE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_are_left_to_torch(dtype: torch.dtype) -> None:
    x, weight = random(4, 16).to(dtype), random(8, 16).to(dtype)
    assert torch.equal(linear(x, weight), functional.linear(x, weight))


@pytest.mark.parametrize("products", [0, 1, 3])
def test_products_one_after_the_other_are_those_of_a_batch(products: int) -> None:
    a, b = random(products, 5, 16), random(products, 40, 16)
    got = matmul_t(a, b)
    assert got.shape == (products, 5, 40)
    torch.testing.assert_close(got, a @ b.transpose(1, 2), **FLOAT32_TOLERANCE)
