"""One run: the sequences that one model makes with one sampler, filtered and scored.

Each sequence is drawn again until it passes the filters; then those that stand there already are drawn again. What is
drawn is a function of the sequence's label, its number among those of the label, and the attempt, so neither batches,
nor shards, nor a kill in between, nor how many others are asked for changes it (up to float rounding of the forward
pass).
"""

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from diffusion_bert.digests import code_digest
from diffusion_bert.errors import UserError
from diffusion_bert.likelihood import bits_per_base
from diffusion_bert.sampling.collapse import collapse, warnings
from diffusion_bert.sampling.draws import Draw, Draws
from diffusion_bert.sampling.filters import Filters
from diffusion_bert.sampling.generate import UNLABELLED, in_batches
from diffusion_bert.sampling.scorers import scorer_of
from diffusion_bert.sampling.settings import Sampler
from diffusion_bert.sampling.templates import read_templates
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import SEQUENCES, Columns, check
from diffusion_bert.training.checkpoints import load_model_folder

log = logging.getLogger(__name__)

# Of each label: how many sequences were ``asked`` for, ``drawn`` in all, dropped by each filter (the first that a
# sequence did not pass), dropped as ``duplicate``, and ``made`` in the end.
FILTERED: Columns = {"label": "text", "what": "text", "sequences": "int"}

_BATCH = 64
_SCORED_AT_ONCE = 256


class Run:
    """A model, a sampler and filters, and what has been drawn with them.

    sampler: the config's settings, ``template`` (a FASTA file or None) among them. filters: the config's. seed: of the
    run. likelihood_samples: passes of the bound on each sequence's likelihood. kept: a file for the draws (``draws``),
    or None. training: columns ``label, sequence``, for the collapse alarm, or None for none. guide: the folder of the
    oracle that a sampler may ask for, or None. progress: called with (sequences drawn, sequences asked for) after each
    batch; without it the log tells.
    Raises UserError for settings that will not do, before the model is loaded.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        sampler: Mapping[str, Any],
        filters: Mapping[str, Any],
        seed: int,
        likelihood_samples: int,
        kept: Path | None = None,
        training: pd.DataFrame | None = None,
        guide: str | Path | None = None,
        progress: Callable[[int, int], None] | None = None,
    ):
        settings = {key: value for key, value in sampler.items() if key != "template"}
        self.sampler, self.filters = Sampler.from_settings(settings), Filters.from_settings(filters)
        self.templates = None if sampler["template"] is None else read_templates(sampler["template"])
        self.seed, self.samples, self.training, self.progress = seed, likelihood_samples, training, progress
        guided = self.sampler.guide.method is not None
        if guide is not None and not guided:
            raise UserError(
                f"The oracle in {guide} is to guide, but sampler.guide.method is null.",
                "Set it to best_of or smc, or give no oracle.",
            )
        self.scorer = scorer_of(self.sampler.guide.scorer, guide) if guided else None
        self.denoiser = load_model_folder(model)
        identity = [self.denoiser.settings["weights_sha256"], self.denoiser.labels, settings, seed, _code(guided)]
        if self.scorer is not None:
            identity.append(self.scorer.identity)
        self.draws = Draws(kept, json.dumps(identity), likelihood_samples)
        self.warned: set[str] = set()

    def asked(
        self,
        labels: Mapping[str | None, int],
        length: int | None = None,
        of_windows: pd.DataFrame | None = None,
    ) -> list[Draw]:
        """The first draw of each sequence: so many of each label, label by label.

        Lengths are those of the templates, which are taken in turn within each label; else ``length``; else that of a
        window of the label, drawn from of_windows (columns ``label, sequence``) for each sequence.
        """
        out = []
        for label, count in labels.items():
            windows = None
            if self.templates is None and length is None:
                windows = of_windows.loc[of_windows["label"] == label, "sequence"].str.len().to_numpy()
            for number in range(count):
                template = None if self.templates is None else self.templates[number % len(self.templates)]
                if template is not None:
                    bp = len(template)
                elif length is not None:
                    bp = length
                else:
                    bp = int(windows[derive_seed(self.seed, "length", label, number) % len(windows)])
                out.append(Draw(label, number, 0, bp, template))
        return out

    def seed_of(self, draw: Draw) -> int:
        """All randomness of one draw."""
        return derive_seed(self.seed, "draw", draw.label or "", draw.number, draw.attempt)

    def draw(self, wanted: Sequence[Draw], told: Callable[[int], None] = lambda done: None) -> None:
        """Make those that are not known yet, and keep them batch by batch. told: called with how many are done."""
        new = [draw for draw in wanted if draw not in self.draws.sequences]
        done = len(wanted) - len(new)
        if done:
            log.info("%d of %d sequences had been drawn before", done, len(wanted))
        parts = in_batches(
            self.denoiser,
            [draw.label for draw in new],
            [draw.length for draw in new],
            self.sampler,
            seeds=[self.seed_of(draw) for draw in new],
            templates=None if self.templates is None else [draw.template for draw in new],
            scorer=self.scorer,
            batch_size=_BATCH,
        )
        for batch, made in parts:
            self.draws.keep(sequences=dict(zip((new[i] for i in batch), made, strict=True)))
            done += len(batch)
            told(done)

    def passing(self, first: Sequence[Draw]) -> list[Draw | None]:
        """For each sequence the first attempt, from the given one on, that passes the filters, or None."""
        found: dict[int, Draw] = {}
        pending = dict(enumerate(first))
        show = self.progress or _Progress()
        fresh = all(draw.attempt == 0 for draw in first)
        while pending:
            whole = len(pending) == len(first) and fresh
            self.draw(list(pending.values()), self._watched(first, show) if whole else lambda done: None)
            for i, draw in list(pending.items()):
                if self.filters.failed(self.draws.sequences[draw]) is None:
                    found[i] = pending.pop(i)
                elif draw.attempt + 1 < self.filters.attempts:
                    pending[i] = draw.again()
                else:
                    del pending[i]
        return [found.get(i) for i in range(len(first))]

    def different(self, chosen: Sequence[Draw | None]) -> list[Draw | None]:
        """The same with every sequence that stands there twice drawn again, but for its first. Those of lower numbers
        come first, so that asking for more of a label leaves those that were there."""
        chosen = list(chosen)
        if self.filters.keep_duplicates:
            return chosen
        while True:
            seen, again = set(), []
            order = sorted((draw.number, draw.label or "", i) for i, draw in enumerate(chosen) if draw is not None)
            for _, _, i in order:
                sequence = self.draws.sequences[chosen[i]]
                if sequence in seen:
                    again.append(i)
                seen.add(sequence)
            if not again:
                return chosen
            log.info("%d sequences stand there already and are drawn again", len(again))
            for i in again:
                if chosen[i].attempt + 1 >= self.filters.attempts:
                    chosen[i] = None
            again = [i for i in again if chosen[i] is not None]
            for i, draw in zip(again, self.passing([chosen[i].again() for i in again]), strict=True):
                chosen[i] = draw

    def score(self, chosen: Sequence[Draw]) -> None:
        """Bound the likelihood of those that have no bound yet, and keep the bounds."""
        new = [draw for draw in chosen if draw not in self.draws.bits]
        if new:
            log.info("bounding the likelihood of %d sequences, %d samples each", len(new), self.samples)
        for start in range(0, len(new), _SCORED_AT_ONCE):
            part = new[start : start + _SCORED_AT_ONCE]
            value, _ = bits_per_base(
                self.denoiser,
                [self.draws.sequences[draw] for draw in part],
                [draw.label for draw in part],
                samples=self.samples,
                seed=[derive_seed(self.seed_of(draw), "likelihood") for draw in part],
            )
            self.draws.keep(bits=dict(zip(part, (round(bits, 4) for bits in value.tolist()), strict=True)))

    def account(self, first: Sequence[Draw], chosen: Sequence[Draw | None]) -> pd.DataFrame:
        """The FILTERED table; a shortfall is told in the log. chosen: what became of each."""
        counts: dict[str, Counter] = {}
        for asked, draw in zip(first, chosen, strict=True):
            of = counts.setdefault(asked.label or UNLABELLED, Counter())
            of["asked"] += 1
            of["made"] += draw is not None
            attempt = asked
            while attempt in self.draws.sequences:
                of["drawn"] += 1
                if attempt != draw:
                    of[self.filters.failed(self.draws.sequences[attempt]) or "duplicate"] += 1
                elif draw is not None:
                    break
                if attempt.attempt + 1 >= self.filters.attempts:
                    break
                attempt = attempt.again()
        names = ["asked", "drawn", *self.filters.names(), "duplicate", "made"]
        rows = [(label, name, of[name]) for label, of in counts.items() for name in names]
        for label, of in counts.items():
            if of["made"] < of["asked"]:
                why = ", ".join(f"{of[name]} {name}" for name in names[2:-1] if of[name])
                log.warning(
                    "label %s: %d of %d sequences could be made in %d draws (at most %d each); dropped were: %s",
                    *(label, of["made"], of["asked"], of["drawn"], self.filters.attempts, why),
                )
        return check(pd.DataFrame(rows, columns=list(FILTERED)), FILTERED, "the account of filters")

    def collapse(self, first: Sequence[Draw]) -> pd.DataFrame:
        """The COLLAPSE table of those of the first draws that are known; what is amiss is told in the log, once."""
        known = [draw for draw in first if draw in self.draws.sequences]
        drawn = pd.DataFrame(
            {"label": [draw.label for draw in known], "sequence": [self.draws.sequences[draw] for draw in known]}
        )
        training = self.training if self.training is not None else drawn.iloc[:0]
        table = collapse(drawn, training)
        for text in warnings(table[~table["measure"].isin(self.warned)]):
            log.warning("%s", text)
        self.warned |= set(table.loc[table["alarm"] == "yes", "measure"])
        return table

    def _watched(self, first: Sequence[Draw], show: Callable[[int, int], None]) -> Callable[[int], None]:
        """Shows progress, and looks for a collapse whenever twice as many are drawn as the last time."""
        looked = _BATCH

        def told(done: int) -> None:
            nonlocal looked
            show(done, len(first))
            if self.training is not None and looked <= done < len(first):
                looked = 2 * done
                self.collapse(first)

        return told

    def table(self, chosen: Iterable[Draw]) -> pd.DataFrame:
        """The SEQUENCES table of these."""
        chosen = list(chosen)
        frame = pd.DataFrame(
            {
                "name": [f"{draw.label or 'seq'}_{draw.number:06d}" for draw in chosen],
                "label": [draw.label or UNLABELLED for draw in chosen],
                "seed": [self.seed_of(draw) for draw in chosen],
                "length": [draw.length for draw in chosen],
                "bits_per_base": [self.draws.bits[draw] for draw in chosen],
                "sequence": [self.draws.sequences[draw] for draw in chosen],
            }
        )
        return check(frame, SEQUENCES, "the generated sequences")


def _code(guided: bool) -> list[str]:
    """Of the code that draws and scores, so that nothing is kept over a change of it."""
    package = Path(__file__).resolve().parents[1]
    files = ["sampling/generate.py", "likelihood.py", *(["sampling/scorers.py"] if guided else [])]
    return [code_digest(package / file, package.parent) for file in files]


class _Progress:
    """A line in the log every so many seconds, with the expected end."""

    def __init__(self, every: float = 10.0):
        self.every, self.start = every, time.monotonic()
        self.last = self.start

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.last >= self.every or done == total:
            self.last = now
            left = (now - self.start) / done * (total - done)
            log.info("%d of %d sequences, %.0f s to go", done, total, left)
