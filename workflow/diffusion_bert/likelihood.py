"""How probable sequences are under a model: bounds on bits a base, with their Monte Carlo error."""

from collections.abc import Sequence

import numpy as np
import torch

from diffusion_bert.diffusion import BITS, bound_of_counts, mask_counts, stratified_counts
from diffusion_bert.seeds import derive_seed
from diffusion_bert.training.checkpoints import Denoiser


@torch.inference_mode()
def bits_per_base(
    denoiser: Denoiser,
    sequences: Sequence[str],
    labels: Sequence[str | None],
    *,
    samples: int = 8,
    seed: int = 0,
    batch_size: int = 256,
) -> tuple[np.ndarray, np.ndarray]:
    """(value, standard error), each (n,): an unbiased estimate of the negative evidence bound, an upper bound of
    -log2 p(sequence) / known bases.

    With k-mers and BPE a sequence can be spelled in several ways. What is bounded is p of the tokens that it is encoded
    as, which is at most p(sequence): the bound holds for the sequence too, and is looser.

    labels: one a sequence, None for the model without a label. samples: masks a sequence, at least 2; the shares that
    they mask are stratified over (0, 1], so the error, estimated as if they were independent, is on the safe side.
    The draws of a sequence depend on the seed and its place in the list, not on batch_size or the other sequences.
    Sequences without a known base get NaN.
    """
    if samples < 2:
        raise ValueError(f"samples must be at least 2, got {samples}")
    tokenizer = denoiser.tokenizer
    sequences = list(sequences)
    ids, _ = tokenizer.frame(tokenizer.encode(sequences), labels)
    lengths = (ids != tokenizer.pad_id).sum(axis=1)
    value, error = np.full(len(sequences), np.nan), np.full(len(sequences), np.nan)
    known = tokenizer.is_base[ids].sum(axis=1)
    tokens_per_base = known / np.maximum(tokenizer.known_bases[ids].sum(axis=1), 1)
    order = np.argsort(lengths, kind="stable")
    order = order[known[order] > 0]
    each = max(1, batch_size // samples)
    for start in range(0, len(order), each):
        rows = order[start : start + each]
        true = torch.from_numpy(ids[rows, : lengths[rows].max()])
        inputs, masked = [], []
        for row, row_ids in zip(rows, true, strict=True):
            generator = torch.Generator().manual_seed(derive_seed(seed, "likelihood", row))
            repeated = row_ids.expand(samples, -1)[:, : lengths[row]]
            maskable = torch.from_numpy(tokenizer.is_base)[repeated]
            u = (torch.arange(samples) + torch.rand(samples, generator=generator)) / samples
            counts = stratified_counts(torch.full((samples,), int(known[row])), u)
            parts = mask_counts(repeated, maskable, counts, tokenizer.mask_id, generator)
            fill = (0, true.shape[1] - repeated.shape[1])
            inputs.append(torch.nn.functional.pad(parts[0], fill, value=tokenizer.pad_id))
            masked.append(torch.nn.functional.pad(parts[1], fill, value=False))
        log_p = denoiser.log_probs(torch.cat(inputs), batch_size=batch_size)
        repeated = true.to(denoiser.device).repeat_interleave(samples, dim=0)
        nats = bound_of_counts(log_p, repeated, torch.cat(masked).to(denoiser.device), denoiser.allowed)
        estimates = nats.reshape(len(rows), samples).double().cpu().numpy() * BITS * tokens_per_base[rows, None]
        value[rows] = estimates.mean(axis=1)
        error[rows] = estimates.std(axis=1, ddof=1) / samples**0.5
    return value, error
