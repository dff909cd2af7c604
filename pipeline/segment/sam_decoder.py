"""SAM's mask decoder for many point prompts on one image: what they share is computed once.

segment-anything repeats the image's features for every prompt and projects them anew. The same sums, arranged
otherwise:

* The first layer's keys, values and pixel queries depend on the image only: once an image.
* Seven tokens talk to 4096 pixels, so projecting the tokens is cheaper than projecting the pixels:
  ``q (W x)' = (q W) x'`` and ``W (a x) = (a x) W'``.
* Quality is predicted from the tokens alone. Masks are drawn only for prompts with one that passes.
* Pixels stay rows (channels last), where normalisation and the next product want them.

Derived from segment_anything.modeling.mask_decoder and transformer (Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from segment_anything.modeling import Sam
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor, nn
from torch.nn import functional

from pipeline.segment.sam_products import linear, matmul_t


@dataclass(frozen=True, slots=True)
class ImageMemory:
    """What all prompts on one image share.

    Attributes:
        pixels: (L, C) features plus the "no mask" prompt; L = h * w.
        position: (L, C) positional encoding.
        keys_t: (heads, d, L) first layer, tokens to image. values: (heads, L, d).
        queries_t: (heads, d, L) first layer, image to tokens.
    """

    pixels: Tensor
    position: Tensor
    keys_t: Tensor
    values: Tensor
    queries_t: Tensor


@dataclass(frozen=True, slots=True)
class Prompted:
    """The transformer's answer to P prompts: quality now, masks when asked for.

    Attributes:
        predicted_iou: (P, M) quality of each prompt's M masks.
        hyper: (P, M, C / 8) weights that turn upscaled pixels into mask logits.
        pixels: (P, L, C) what each prompt made of the image.
    """

    predicted_iou: Tensor
    hyper: Tensor
    pixels: Tensor


class FastDecoder(nn.Module):
    """The layers of a SAM's prompt encoder and mask decoder, shared with it, for point prompts.

    Args:
        sam: its parameters are used in place, neither copied nor changed.

    Raises:
        ValueError: not SAM's architecture of two two-way layers.
    """

    def __init__(self, sam: Sam) -> None:
        """Keep the layers."""
        super().__init__()
        self.prompts, self.decoder = sam.prompt_encoder, sam.mask_decoder
        transformer = sam.mask_decoder.transformer
        if len(transformer.layers) != 2:
            raise ValueError(f"mask decoder: want 2 layers, got {len(transformer.layers)}")
        self.first, self.second = transformer.layers
        self.last, self.last_norm = transformer.final_attn_token_to_image, transformer.norm_final_attn
        self.grid_hw: tuple[int, int] = sam.prompt_encoder.image_embedding_size

    def remember(self, features: Tensor) -> ImageMemory:
        """Return what all prompts share. ``features``: (C, h, w), one image of the encoder's output."""
        pixels = (features.flatten(1).t() + self.prompts.no_mask_embed.weight).contiguous()  # (L, C)
        position = self.prompts.get_dense_pe()[0].flatten(1).t().to(pixels.dtype).contiguous()
        placed = pixels + position
        to_image, to_tokens = self.first.cross_attn_token_to_image, self.first.cross_attn_image_to_token
        return ImageMemory(
            pixels=pixels,
            position=position,
            keys_t=_heads(to_image.k_proj(placed), to_image).transpose(-1, -2).contiguous(),
            values=_heads(to_image.v_proj(pixels), to_image).contiguous(),
            queries_t=_heads(to_tokens.q_proj(placed), to_tokens).transpose(-1, -2).contiguous(),
        )

    def forward(self, memory: ImageMemory, points_xy: Tensor) -> Prompted:
        """Return the answer to (P, 2) foreground points in px of the padded model input."""
        prompt = self._embed(points_xy)  # (P, T, C)
        tokens = self.first.norm1(self.first.self_attn(q=prompt, k=prompt, v=prompt))
        tokens = self._first_look(memory, tokens, prompt)
        tokens = self.first.norm3(tokens + self.first.mlp(tokens))
        pixels = self._first_reply(memory, tokens, prompt)

        asked = tokens + prompt
        tokens = self.second.norm1(tokens + self.second.self_attn(q=asked, k=asked, v=tokens))
        placed = pixels + memory.position
        look = _look(self.second.cross_attn_token_to_image, tokens + prompt, placed, pixels)
        tokens = self.second.norm2(tokens + look)
        tokens = self.second.norm3(tokens + self.second.mlp(tokens))
        pixels = _reply(self.second, tokens + prompt, tokens, placed, pixels)

        placed = pixels + memory.position
        tokens = self.last_norm(tokens + _look(self.last, tokens + prompt, placed, pixels))
        return self._judge(tokens, pixels)

    def _embed(self, points_xy: Tensor) -> Tensor:
        """Return the (P, T, C) tokens: quality, masks, the point, and the "no second point" padding."""
        height, width = self.prompts.input_image_size
        x, y = (points_xy + 0.5).unbind(1)
        at = torch.stack([x / width, y / height], dim=1)  # numbers, no tensor: a card need not wait for one
        point = self.prompts.pe_layer._pe_encoding(at.float())  # (P, C)
        point = (point + self.prompts.point_embeddings[1].weight)[:, None]
        output = torch.cat([self.decoder.iou_token.weight, self.decoder.mask_tokens.weight])
        shared = [t.expand(len(point), -1, -1) for t in (output, self.prompts.not_a_point_embed.weight)]
        return torch.cat([shared[0], point.to(output.dtype), shared[1]], dim=1)

    def _first_look(self, memory: ImageMemory, tokens: Tensor, prompt: Tensor) -> Tensor:
        """Return the tokens after the first layer's look at the image."""
        attn = self.first.cross_attn_token_to_image
        n, t, _ = tokens.shape
        q = _heads(attn.q_proj(tokens + prompt).flatten(0, 1), attn) * _scale(attn)  # (heads, P T, d)
        weights = torch.softmax(q @ memory.keys_t, dim=-1)  # (heads, P T, L)
        seen = (weights @ memory.values).permute(1, 0, 2).reshape(n, t, -1)
        normed: Tensor = self.first.norm2(tokens + attn.out_proj(seen))
        return normed

    def _first_reply(self, memory: ImageMemory, tokens: Tensor, prompt: Tensor) -> Tensor:
        """Return the (P, L, C) pixels after the first layer's look at the tokens."""
        attn = self.first.cross_attn_image_to_token
        k = _heads(attn.k_proj(tokens + prompt), attn) * _scale(attn)  # (P, heads, T, d)
        scores = k @ memory.queries_t  # (P, heads, T, L)
        return _mix(self.first, attn, torch.softmax(scores, dim=2), tokens, memory.pixels)

    def _judge(self, tokens: Tensor, pixels: Tensor) -> Prompted:
        """Return the masks' predicted quality and weights; the single-mask output (index 0) is not used."""
        mlps = self.decoder.output_hypernetworks_mlps
        hyper = torch.stack([mlps[i](tokens[:, 1 + i]) for i in range(1, len(mlps))], dim=1)
        return Prompted(self.decoder.iou_prediction_head(tokens[:, 0])[:, 1:], hyper, pixels)

    def draw(self, prompted: Prompted, prompts: Tensor | slice) -> Tensor:
        """Return the (R, M, 4h, 4w) mask logits of R of the P prompts, given by row or slice."""
        first, norm, _, second, _ = self.decoder.output_upscaling
        h, w = self.grid_hw
        x = _upscale(prompted.pixels[prompts], first)  # (R, L, 4, C / 4)
        x = functional.gelu(functional.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
        x = _upscale(x, second, gelu=True)  # (R, L, 4, 4, C / 8)
        logits = matmul_t(prompted.hyper[prompts], x.flatten(1, 3))  # (R, M, 16 L)
        logits = logits.view(*logits.shape[:2], h, w, 2, 2, 2, 2)
        square: Tensor = logits.permute(0, 1, 2, 4, 6, 3, 5, 7).reshape(*logits.shape[:2], 4 * h, 4 * w)
        return square


def _scale(attn: Attention) -> float:
    """Return one over the square root of the channels a head."""
    return float((attn.internal_dim // attn.num_heads) ** -0.5)


def _heads(x: Tensor, attn: Attention) -> Tensor:
    """Return (..., heads, N, d) of (..., N, heads * d)."""
    heads = int(attn.num_heads)
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads).transpose(-2, -3)


def _fold(tokens: Tensor, projection: nn.Linear, heads: int) -> Tensor:
    """Return (P, heads * T, C): per-head tokens (P, heads, T, d) carried back through a projection."""
    weight = projection.weight.view(heads, -1, projection.in_features)  # (heads, d, C)
    return (tokens @ weight).flatten(1, 2)


def _look(attn: Attention, asked: Tensor, placed: Tensor, pixels: Tensor) -> Tensor:
    """Return the (P, T, C) output of tokens attending to pixels.

    The keys' bias adds the same to all pixels of one token, which the softmax removes.
    """
    n, t, _ = asked.shape
    q = _heads(attn.q_proj(asked), attn) * _scale(attn)  # (P, heads, T, d)
    scores = matmul_t(_fold(q, attn.k_proj, attn.num_heads), placed)  # (P, heads T, L)
    seen = matmul_t(torch.softmax(scores, dim=-1), pixels.transpose(1, 2))  # (P, heads T, C)
    seen = seen.view(n, attn.num_heads, t, -1)
    weight = attn.v_proj.weight.view(attn.num_heads, -1, seen.shape[-1])  # (heads, d, C)
    values = (seen @ weight.transpose(1, 2)).transpose(1, 2).reshape(n, t, -1) + attn.v_proj.bias
    out: Tensor = attn.out_proj(values)
    return out


def _reply(
    layer: TwoWayAttentionBlock, asked: Tensor, tokens: Tensor, placed: Tensor, pixels: Tensor
) -> Tensor:
    """Return the (P, L, C) pixels after attending to the tokens, normalised."""
    attn = layer.cross_attn_image_to_token
    n, t, _ = asked.shape
    k = _heads(attn.k_proj(asked), attn) * _scale(attn)  # (P, heads, T, d)
    bias = (k * attn.q_proj.bias.view(attn.num_heads, 1, -1)).sum(-1).flatten(1)[..., None]  # (P, heads T, 1)
    scores = matmul_t(_fold(k, attn.q_proj, attn.num_heads), placed) + bias
    weights = torch.softmax(scores.view(n, attn.num_heads, t, -1), dim=2)
    return _mix(layer, attn, weights, tokens, pixels)


def _mix(
    layer: TwoWayAttentionBlock, attn: Attention, weights: Tensor, tokens: Tensor, pixels: Tensor
) -> Tensor:
    """Return norm4(pixels + out_proj(weights' values)); weights: (P, heads, T, L)."""
    values = _heads(attn.v_proj(tokens), attn)  # (P, heads, T, d)
    weight = attn.out_proj.weight.t().view(attn.num_heads, -1, attn.embedding_dim)  # (heads, d, C)
    share = attn.out_proj.bias / attn.num_heads  # the weights of each head add up to one
    carried = (values @ weight + share).flatten(1, 2)  # (P, heads T, C)
    mixed = matmul_t(weights.flatten(1, 2).transpose(1, 2), carried.transpose(1, 2))
    normed: Tensor = layer.norm4(mixed.add_(pixels))
    return normed


def _upscale(x: Tensor, deconvolution: nn.ConvTranspose2d, gelu: bool = False) -> Tensor:
    """Return (..., 4, D): each pixel (..., C) doubled in both directions, as one product, then a GELU."""
    weight = deconvolution.weight.flatten(2).permute(0, 2, 1).flatten(1)  # (C, 4 D)
    bias = deconvolution.bias
    y = linear(x, weight.t(), None if bias is None else bias.repeat(4), gelu)
    return y.reshape(*y.shape[:-1], 4, y.shape[-1] // 4)
