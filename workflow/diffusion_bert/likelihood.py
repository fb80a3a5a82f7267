"""How probable sequences are under a model: bounds on log p, with their Monte Carlo error.

The bound is the second form of ``diffusion``: the number k of masked tokens uniform in 1..L, then which ones. Passes
come in pairs: where the first of a pair masks k of a sequence's tokens, the second masks the L - k others, so that each
token is predicted once and what makes one pass easy makes the other hard. k = L, which has no other side, is paired
with itself; each pass of a pair then has k uniform in 1..L, and the mean is unbiased. The shares that are masked are
stratified. One pair would not tell its error: two or three passes are drawn apart.

A model that has learned to read from left to right needs none of this: log p is the sum of its predictions, exact, from
one pass, and is that of the sequences that it generates in that order.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from diffusion_bert.diffusion import BITS, bound_of_counts, cross_entropy
from diffusion_bert.seeds import derive_seed
from diffusion_bert.training.checkpoints import Denoiser


@torch.inference_mode()
def bits_per_base(
    denoiser: Denoiser,
    sequences: Sequence[str],
    labels: Sequence[str | None],
    *,
    samples: int = 8,
    seed: int | Sequence[int] = 0,
    batch_size: int = 256,
) -> tuple[np.ndarray, np.ndarray]:
    """(value, standard error), each (n,): an unbiased estimate of the negative evidence bound, an upper bound of
    -log2 p(sequence) / known bases; or, where the model reads from left to right, that number itself, without an error.

    With k-mers and BPE a sequence can be spelled in several ways. What is bounded is p of the tokens that it is encoded
    as, which is at most p(sequence): the bound holds for the sequence too, and is looser.

    labels: one a sequence, None for the model without a label. samples: passes a sequence, at least 2; an odd number
    above 3 is rounded up, since they come in pairs. The error is that of independent pairs; the shares that are masked
    being stratified, it is on the safe side.
    The draws of a sequence depend on the seed and its place in the list, not on batch_size or the others; where
    seed is a list, on its own seed there alone.
    Sequences without a known base get NaN.
    """
    tokenizer = denoiser.tokenizer
    ids, _ = tokenizer.frame(tokenizer.encode(list(sequences)), labels)
    known, bases = tokenizer.is_base[ids].sum(axis=1), tokenizer.known_bases[ids].sum(axis=1)
    value, error = np.full(len(ids), np.nan), np.full(len(ids), np.nan)
    # By length, so that little is padded.
    lengths = (ids != tokenizer.pad_id).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    order = order[known[order] > 0]
    each = max(1, batch_size // samples)
    for start in range(0, len(order), each):
        rows = order[start : start + each]
        of_rows = (derive_seed(seed, "likelihood", row) if isinstance(seed, int) else seed[row] for row in rows)
        masks = (draw_masks(samples, lengths[row], own) for row, own in zip(rows, of_rows, strict=True))
        nats = nats_of_rows(denoiser, ids[rows], masks, batch_size=batch_size)
        value[rows], error[rows] = mean_and_error(nats * BITS / bases[rows, None])
    return value, error


def draw_masks(samples: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """The random part of one sequence's masks, to be had in common by several sequences: (shift (s,), keys (s, width)).

    samples: at least 2; s is samples, from 4 on the next even number. shift in [-1/2, 1/2) says how many tokens are
    masked; of the tokens those with the lowest keys are. From 4 on, pass i and pass s / 2 + i are a pair, of opposite
    shifts and keys.
    """
    if samples < 2:
        raise ValueError(f"samples must be at least 2, got {samples}")
    generator = torch.Generator().manual_seed(seed)
    paired = samples >= 4
    drawn, strata = ((samples + 1) // 2, (samples + 1) // 2 * 2) if paired else (samples, samples)
    shift = (torch.arange(drawn) + torch.rand(drawn, generator=generator, dtype=torch.float64)) / strata
    keys = torch.rand(drawn, width, generator=generator, dtype=torch.float64)
    if not paired:
        return shift - 0.5, keys
    # Half of the circle that the counts lie on; the other half is its mirror image.
    return torch.cat([shift, -shift]), torch.cat([keys, 1 - keys])


def apply_masks(maskable: Tensor, shift: Tensor, keys: Tensor) -> Tensor:
    """Which tokens are masked, (s, T) bool: maskable (T,) bool, at least one of them; shift (s,) and keys (s, T) as
    ``draw_masks`` gives them."""
    tokens = maskable.sum()
    # shift -> -shift maps a count k < tokens to tokens - k, and tokens to itself.
    counts = (((tokens - 1) / 2 + shift * tokens) % tokens).long().clamp(max=tokens - 1) + 1
    ranks = keys.masked_fill(~maskable, 2.0).argsort(dim=-1, stable=True).argsort(dim=-1, stable=True)
    return maskable & (ranks < counts.unsqueeze(-1))


def nats_of_rows(
    denoiser: Denoiser, ids: np.ndarray, masks: Iterable[tuple[Tensor, Tensor]], *, batch_size: int
) -> np.ndarray:
    """Unbiased estimates of the negative evidence bound of whole rows, nats (n, s).

    ids (n, T), framed, each with a token that can be predicted; masks: one a row, as ``draw_masks`` gives them, with
    keys for the places of the row up to its padding. The columns are the passes. Of a model that reads from left to
    right there are two, both -ln p of the row.
    """
    tokenizer = denoiser.tokenizer
    ids = torch.from_numpy(ids[:, : (ids != tokenizer.pad_id).sum(axis=1).max()])
    maskable = torch.from_numpy(tokenizer.is_base)[ids]
    if denoiser.left_to_right:
        log_p = denoiser.log_probs(ids, batch_size=batch_size, left_to_right=True)
        to = denoiser.device
        nats = cross_entropy(log_p, ids.to(to), maskable.to(to), denoiser.allowed).double().cpu().numpy()
        return np.stack([nats, nats], axis=1)
    masked = []
    for row, (shift, keys) in zip(maskable, masks, strict=True):
        chosen = apply_masks(row[: keys.shape[1]], shift, keys)
        masked.append(torch.nn.functional.pad(chosen, (0, len(row) - keys.shape[1]), value=False))
    samples, masked = len(masked[0]), torch.cat(masked)
    repeated = ids.repeat_interleave(samples, dim=0)
    log_p = denoiser.log_probs(repeated.masked_fill(masked, tokenizer.mask_id), batch_size=batch_size)
    nats = bound_of_counts(log_p, repeated.to(denoiser.device), masked.to(denoiser.device), denoiser.allowed)
    return nats.reshape(len(ids), samples).double().cpu().numpy() * maskable.sum(-1, keepdim=True).numpy()


def mean_and_error(estimates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error (n,) of estimates (n, s), whose columns are the passes of ``draw_masks``."""
    passes = estimates.shape[1]
    independent = estimates.reshape(len(estimates), 2, passes // 2).mean(axis=1) if passes >= 4 else estimates
    return estimates.mean(axis=1), independent.std(axis=1, ddof=1) / independent.shape[1] ** 0.5
