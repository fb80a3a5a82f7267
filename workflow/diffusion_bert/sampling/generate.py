"""Sequences from a denoiser: exact length, exact number, one seed a sequence, whole batches on the device."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
import torch

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.guide import Scorer, candidate_seeds, drawn_by_weight, particles
from diffusion_bert.sampling.lengths import Lengths
from diffusion_bert.sampling.predict import Predictor
from diffusion_bert.sampling.refine import refine
from diffusion_bert.sampling.reverse import fill, fill_remasking, revealed_fractions
from diffusion_bert.sampling.settings import SMC, Sampler
from diffusion_bert.sampling.templates import Spelling, check_template
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import SEQUENCES, check
from diffusion_bert.training.checkpoints import Denoiser

log = logging.getLogger(__name__)

# The table's label of a sequence that was generated without one.
UNLABELLED = "unlabelled"


def generate(
    denoiser: Denoiser,
    *,
    labels: Sequence[str | None],
    lengths: Sequence[int],
    sampler: Mapping[str, Any],
    seed: int,
    templates: Sequence[str] | None = None,
    scorer: Scorer | None = None,
    batch_size: int = 64,
    first_index: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """One sequence for each (label, length): a SEQUENCES frame in the order asked, ``bits_per_base`` null.

    labels: of the model's own, or None for a sequence without one (named ``seq_...``, label ``unlabelled`` in the
    table). lengths: bp. templates: an IUPAC template for each sequence, of its length (``templates``). sampler: the
    config's settings of a sampler, every key given but ``template``. first_index: the number of the first sequence, so
    that a job that makes sequences 500 to 999 makes those and no others: a sequence is a function of (denoiser, label,
    length, template, sampler, scorer, seed, its number), whatever the batches, up to float rounding of the forward
    pass. scorer: what a sampler with a guide is steered by (``guide``). batch_size: rows of a forward pass, candidates
    counted each; those of one sequence stay together.
    progress: called with (sequences done, sequences in all) after each batch.

    Lengths are exact whatever the tokenizer; for BPE see ``lengths``.

    Raises UserError for an unknown label, a length that the model cannot take, a template that cannot be met, or a
    setting that will not do.
    """
    settings = Sampler.from_settings(sampler)
    indices = range(first_index, first_index + len(labels))
    seeds = [derive_seed(seed, index) for index in indices]
    sequences = [""] * len(labels)
    done = 0
    for batch, made in in_batches(
        denoiser, labels, lengths, settings, seeds=seeds, templates=templates, scorer=scorer, batch_size=batch_size
    ):
        for i, sequence in zip(batch, made, strict=True):
            sequences[i] = sequence
        done += len(batch)
        if progress is not None:
            progress(done, len(labels))
    return check(
        pd.DataFrame(
            {
                "name": [f"{label or 'seq'}_{i:06d}" for label, i in zip(labels, indices, strict=True)],
                "label": [label or UNLABELLED for label in labels],
                "seed": seeds,
                "length": list(lengths),
                "bits_per_base": [None] * len(labels),
                "sequence": sequences,
            }
        ),
        SEQUENCES,
        "the generated sequences",
    )


def in_batches(
    denoiser: Denoiser,
    labels: Sequence[str | None],
    lengths: Sequence[int],
    settings: Sampler,
    *,
    seeds: Sequence[int],
    templates: Sequence[str] | None = None,
    scorer: Scorer | None = None,
    batch_size: int = 64,
) -> Iterator[tuple[list[int], list[str]]]:
    """The sequences of ``generate``, batch by batch: (which of those asked for, their DNA).

    seeds: one a sequence, of which it is a function. All that is refused is refused before anything is computed.
    """
    if not len(labels) == len(lengths) == len(seeds):
        raise ValueError(f"{len(labels)} labels, but {len(lengths)} lengths and {len(seeds)} seeds")
    if templates is not None and [len(template) for template in templates] != list(lengths):
        raise ValueError("each sequence needs a template of its length")
    denoiser.tokenizer.label_tokens(labels)
    settings = settings.of(denoiser.left_to_right)
    guide = settings.guide
    if guide.method is None:
        scorer = None
    elif scorer is None:
        raise ValueError("a sampler with a guide needs a scorer")
    else:
        scorer.check(labels)
    _check_lengths(lengths, denoiser)
    for template in dict.fromkeys(templates or []):
        check_template(template, "the template")
    law = _law_of_lengths(denoiser, lengths)
    spellings = {}
    if law is not None:
        spellings = {kind: Spelling(law, denoiser.tokenizer, kind) for kind in dict.fromkeys(templates or [])}
    # What the sequences of a batch share: the length in bp, or the number of tokens where the length does not say it.
    shared = list(lengths) if law is None else _numbers_of_tokens(law, spellings, lengths, templates, seeds)
    candidates = 1 if scorer is None else guide.candidates
    for batch in batches(shared, max(1, batch_size // candidates)):
        rows = [i for i in batch for _ in range(candidates)]
        predictor = Predictor(
            denoiser,
            [labels[i] for i in rows],
            lengths[batch[0]] if law is None else [lengths[i] for i in rows],
            settings.guidance,
            law,
            None if law is None else shared[batch[0]],
            None if templates is None else [templates[i] for i in rows],
            spellings,
        )
        scored = None if scorer is None else partial(_scores, scorer, predictor, [labels[i] for i in rows])
        yield batch, _generate_batch(predictor, settings, [seeds[i] for i in batch], scored)
    if law is not None and law.fallbacks:
        log.info(
            "%d times top_k and top_p left a sequence no way to end at its length: that step drew from all tokens",
            law.fallbacks,
        )


def _law_of_lengths(denoiser: Denoiser, lengths: Sequence[int]) -> Lengths | None:
    """How sequences get their tokens where the tokenizer has no layout; None where it has one."""
    tokenizer = denoiser.tokenizer
    if not lengths or tokenizer.layout(lengths[0]) is not None:
        return None
    histogram = denoiser.settings.get("token_lengths")
    if histogram is None:
        raise UserError(
            "The model's diffusion.json does not say how long its tokens are (token_lengths).",
            "Train the model anew with this version.",
        )
    spelled = torch.as_tensor(tokenizer.bases_per_token[tokenizer.base_ids], device=denoiser.device)
    return Lengths(histogram, spelled, max(lengths), _most_tokens(denoiser))


def _numbers_of_tokens(
    law: Lengths,
    spellings: Mapping[str, Spelling],
    lengths: Sequence[int],
    templates: Sequence[str] | None,
    seeds: Sequence[int],
) -> list[int]:
    """How many tokens each sequence has; it follows from the sequence's length (bp) or template, and its seed."""
    alike: dict[int | str, list[int]] = {}
    for i, kind in enumerate(lengths if templates is None else templates):
        alike.setdefault(kind, []).append(i)
    numbers = [0] * len(lengths)
    for kind, members in alike.items():
        keys = torch.tensor([seeds[i] for i in members], dtype=torch.int64, device=law.spelled.device)
        drawn = law.number_of_tokens(keys, kind) if templates is None else spellings[kind].number_of_tokens(keys)
        for i, number in zip(members, drawn.tolist(), strict=True):
            numbers[i] = number
    return numbers


def batches(shared: Sequence[int], batch_size: int) -> list[list[int]]:
    """The indices of ``shared`` in batches in which it is the same, as full as they can be."""
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    by_value: dict[int, list[int]] = {}
    for index, value in enumerate(shared):
        by_value.setdefault(value, []).append(index)
    return [
        members[start : start + batch_size]
        for _, members in sorted(by_value.items())
        for start in range(0, len(members), batch_size)
    ]


def longest_length(denoiser: Denoiser) -> int | None:
    """The longest sequence (bp) that the model has positions for, all of its tokens being the longest of the
    vocabulary; None where its config states no limit. A shorter one may still need more tokens."""
    tokens = _most_tokens(denoiser)
    return None if tokens is None else tokens * int(denoiser.tokenizer.known_bases.max())


def _most_tokens(denoiser: Denoiser) -> int | None:
    config = getattr(denoiser.model, "config", None)
    positions = None if getattr(config, "any_length", False) else getattr(config, "max_position_embeddings", None)
    return None if positions is None else positions - denoiser.tokenizer.extra_tokens


def _check_lengths(lengths: Sequence[int], denoiser: Denoiser) -> None:
    most, longest = _most_tokens(denoiser), longest_length(denoiser)
    for length in sorted(set(lengths)):
        if length < 1:
            raise UserError(f"A sequence of {length} bp was asked for.", "Ask for lengths of at least 1 bp.")
        layout = denoiser.tokenizer.layout(length)
        if longest is not None and length > longest:
            raise UserError(
                f"A sequence of {length} bp was asked for, but the model takes at most {longest} bp.",
                f"Ask for at most {longest} bp, or train a model on wider windows.",
            )
        if most is not None and layout is not None and len(layout) > most:
            raise UserError(
                f"A sequence of {length} bp was asked for, which is {len(layout)} tokens; the model takes {most}.",
                f"Ask for {length - length % int(layout[0])} bp, or train a model on wider windows.",
            )


def _scores(scorer: Scorer, predictor: Predictor, labels: list[str | None], tokens: torch.Tensor) -> torch.Tensor:
    """Of each row of tokens (n, L), without masks: (n,) float64."""
    sequences = predictor.denoiser.tokenizer.decode(tokens.cpu().numpy())
    return torch.as_tensor(scorer(sequences, labels), device=tokens.device)


@torch.inference_mode()
def _generate_batch(
    predictor: Predictor, sampler: Sampler, seeds: list[int], scores: Callable[[torch.Tensor], torch.Tensor] | None
) -> list[str]:
    """A sequence for each seed. scores: with a guide, of the tokens of all candidates, the predictor's rows."""
    candidates = 1 if scores is None else sampler.guide.candidates
    rows = torch.tensor(candidate_seeds(seeds, candidates), dtype=torch.int64, device=predictor.device)
    keys = rows[::candidates]
    masked = predictor.fixed < 0
    tokens = predictor.fixed.masked_fill(masked, predictor.mask_id)
    schedule = predictor.denoiser.schedule
    fractions = revealed_fractions(schedule, sampler.steps, predictor.device)
    smc = scores is not None and sampler.guide.method == SMC
    if smc:
        by_sequence = (len(seeds), candidates)
        tokens, log_weights = particles(
            tokens, masked, predictor, sampler, fractions, rows, keys, lambda x: scores(x).view(by_sequence)
        )
    elif sampler.remask.strategy is None:
        tokens = fill(tokens, masked, predictor, sampler, fractions, rows, round_=0)
    else:
        tokens = fill_remasking(tokens, masked, predictor, sampler, fractions, rows)
    if sampler.refine.passes:
        fractions = revealed_fractions(schedule, sampler.refine.steps, predictor.device)
        tokens = refine(tokens, predictor, sampler, fractions, rows)
    if scores is not None:
        last = scores(tokens).view(len(seeds), candidates)
        best = drawn_by_weight(log_weights + sampler.guide.strength * last, keys) if smc else last.argmax(1)
        tokens = tokens[torch.arange(len(seeds), device=tokens.device) * candidates + best]
    return predictor.denoiser.tokenizer.decode(tokens.cpu().numpy())
