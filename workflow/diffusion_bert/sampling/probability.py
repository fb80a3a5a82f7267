"""How probable a sampler makes a sequence: exact, where the sampler's order follows from the tokens.

A sampler that reveals the positions it is surest of (confidence, entropy, margin, entropy_bounded), or goes from left
to right, gets to a given sequence in one way only: which positions are next follows from the tokens in sight, and the
tokens of one step are drawn independently. So the probability of the sequence is the product of the probabilities along
that way, and those of all sequences of a length sum to 1. It is the likelihood of another distribution than the bound
of ``likelihood`` speaks of, that of the ancestral order: both come from one network, whose predictions agree with no
single distribution, and the order decides which of them are asked for. What is easy to predict first, such as the core
of a motif, makes the rest easier.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from diffusion_bert.diffusion import BITS
from diffusion_bert.sampling import draw
from diffusion_bert.sampling.generate import batches
from diffusion_bert.sampling.noise import ORDER, uniforms
from diffusion_bert.sampling.predict import Predictor
from diffusion_bert.sampling.reverse import dense, planned, revealed_fractions, stages
from diffusion_bert.sampling.settings import Sampler
from diffusion_bert.seeds import derive_seed
from diffusion_bert.training.checkpoints import Denoiser


@torch.inference_mode()
def bits_under_sampler(
    denoiser: Denoiser,
    sequences: Sequence[str],
    labels: Sequence[str | None],
    sampler: Mapping[str, Any],
    *,
    seed: int = 0,
    batch_size: int = 64,
) -> np.ndarray:
    """-log2 p(sequence | label, length) / bases under the sampler, (n,) float64; inf where truncation cuts it off.

    sequences: of A, C, G, T. sampler: the config's settings of a sampler, every key given but ``template``;
    temperature, truncation and guidance count. Orders that toss coins (random, ancestral) follow the order that the
    seed draws; the mean over seeds bounds the sampler's own bits from above. The others use the seed for ties within
    1e-6 alone.

    Cost: a forward pass of all sequences for each step, up to the number of tokens; with classifier-free guidance two.

    Raises ValueError for samplers that draw a token more than once (refine, remask) or pick among candidates (guide),
    whose probabilities have no such form, and for BPE, where one sequence has many spellings.
    """
    settings = Sampler.from_settings(sampler).of(denoiser.left_to_right)
    if settings.refine.passes or settings.remask.strategy is not None:
        raise ValueError(
            "a sampler that draws tokens again gives a sequence in many ways; its probability is not known"
        )
    if settings.guide.method is not None:
        raise ValueError("a sampler with a guide chooses among candidates; the probability of a choice is not known")
    tokenizer = denoiser.tokenizer
    if any(tokenizer.layout(len(sequence)) is None for sequence in sequences):
        raise ValueError("with BPE a sequence has many spellings: no exact probability")
    bits = np.full(len(sequences), np.nan)
    for batch in batches([len(sequence) for sequence in sequences], batch_size):
        predictor = Predictor(denoiser, [labels[i] for i in batch], len(sequences[batch[0]]), settings.guidance)
        encoded = torch.as_tensor(tokenizer.encode([sequences[i] for i in batch]), device=denoiser.device).long()
        keys = torch.tensor([derive_seed(seed, i) for i in batch], dtype=torch.int64, device=denoiser.device)
        nats = -_log_p(encoded, predictor, settings, keys)
        bits[batch] = nats.cpu().numpy() * BITS / len(sequences[batch[0]])
    return bits


def _log_p(truth: torch.Tensor, predictor: Predictor, sampler: Sampler, seeds: torch.Tensor) -> torch.Tensor:
    """log p of the tokens truth (B, L), (B,) float64: ``reverse.fill``, with the truth in place of each draw."""
    masked = torch.ones_like(truth, dtype=torch.bool)
    tokens = truth.masked_fill(masked, predictor.mask_id)
    columns = torch.searchsorted(predictor.allowed, truth)
    if not (predictor.allowed[columns.clamp(max=len(predictor.allowed) - 1)] == truth).all():
        raise ValueError("sequences must hold nothing but A, C, G, T")
    fractions = revealed_fractions(predictor.denoiser.schedule, sampler.steps, predictor.device)
    noise = uniforms(seeds, truth.shape[1], purpose=ORDER, round_=0)
    stage = dense(*planned(sampler, masked, fractions, noise))
    total = torch.zeros(len(truth), dtype=torch.float64, device=truth.device)
    for _, rows, chosen, log_probs in stages(tokens, masked, stage, noise, predictor, sampler):
        drawn_from = draw.truncated(
            log_probs, temperature=sampler.temperature, top_p=sampler.top_p, top_k=sampler.top_k
        )
        row, position = chosen.nonzero(as_tuple=True)
        row = rows[row]
        total.index_add_(0, row, drawn_from.gather(1, columns[row, position][:, None])[:, 0])
        tokens[row, position] = truth[row, position]
        masked[row, position] = False
    return total
