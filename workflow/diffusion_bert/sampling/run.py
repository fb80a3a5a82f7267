"""One run: the sequences that one model makes with one sampler, filtered, scored and written.

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
from diffusion_bert.reproducible import reproducible
from diffusion_bert.sampling.collapse import COLLAPSE, collapse, warnings
from diffusion_bert.sampling.draws import DRAWS, Draw, Draws
from diffusion_bert.sampling.filters import Filters
from diffusion_bert.sampling.generate import UNLABELLED, in_batches
from diffusion_bert.sampling.scorers import scorer_of
from diffusion_bert.sampling.settings import Sampler
from diffusion_bert.sampling.templates import read_templates
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import (
    SEQUENCES,
    WINDOWS,
    Columns,
    check,
    read_parquet,
    write_fasta,
    write_parquet,
    write_tsv,
)
from diffusion_bert.training.checkpoints import Denoiser, load_model_folder

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


def generate_run(
    model: str | Path,
    *,
    train: str | Path | None,
    test: str | Path | None,
    sampler: Mapping[str, Any],
    number: int,
    labels: Mapping[str | None, int] | None,
    length: int | None,
    filters: Mapping[str, Any],
    likelihood_samples: int,
    seed: int,
    fasta: str | Path,
    table: str | Path,
    filtered: str | Path,
    collapsed: str | Path | None,
    kept: Path | None = None,
    shards: Sequence[str | Path] = (),
    guide: str | Path | None = None,
    name: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Generate, filter, bound the likelihood of each sequence under the model; write FASTA and tables.

    model: a model folder. train, test: WINDOWS files; the test windows' labels share out ``number``, the training
    windows' lengths are those drawn from, and they are what the collapse alarm compares with. Without test the labels
    of the model have equal shares; without train there must be a length or a template, and there is no alarm.
    sampler, number, labels, length, filters: as in the config. Written: fasta; table (SEQUENCES); filtered (FILTERED);
    collapsed (COLLAPSE), unless None. kept: a file for draws, from which a killed run goes on. shards: what
    ``generate_shard`` wrote for the same settings; nothing is drawn that is in there. guide: the folder of the oracle
    for a sampler with ``guide.scorer: oracle``. name: of the sampler, for the FASTA's headers.

    Raises UserError for what cannot be made, and where not one sequence passes the filters.
    """
    with reproducible():
        run, first = _planned(
            *(model, train, test, sampler, number, labels, length, filters, likelihood_samples, seed, kept, guide),
            progress,
        )
        for path in shards:
            run.draws.take_table(read_parquet(path, DRAWS))
        chosen = run.different(run.passing(first))
        account = run.account(first, chosen)
        made = [draw for draw in chosen if draw is not None]
        if not made:
            raise UserError(
                f"Not one of {len(first)} sequences passes generate.filters in {run.filters.attempts} draws each "
                f"({', '.join(f'{row.sequences} {row.what}' for row in account.itertuples() if row.sequences)}).",
                "Loosen the filters, or the template that they contradict.",
            )
        run.score(made)
        alarms = run.collapse(first)
        frame = run.table(made)
        write_tsv(account, filtered, FILTERED)
        if collapsed is not None:
            write_tsv(alarms, collapsed, COLLAPSE)
        write_parquet(frame, table, SEQUENCES)
        write_fasta(frame, fasta, sampler=name)


def generate_shard(
    model: str | Path,
    *,
    train: str | Path,
    test: str | Path,
    shard: int,
    shards: int,
    sampler: Mapping[str, Any],
    number: int,
    labels: Mapping[str, int] | None,
    length: int | None,
    filters: Mapping[str, Any],
    likelihood_samples: int,
    seed: int,
    table: str | Path,
    kept: Path,
    guide: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """The part of ``generate_run`` that looks at one sequence at a time, for every ``shards``-th sequence from number
    ``shard`` on: the draws until each passes the filters, with bounds on the likelihood, as a DRAWS table."""
    with reproducible():
        run, first = _planned(
            *(model, train, test, sampler, number, labels, length, filters, likelihood_samples, seed, kept, guide),
            progress,
        )
        first = first[shard::shards]
        chosen = run.passing(first)
        run.score([draw for draw in chosen if draw is not None])
        wanted = []
        for asked, last in zip(first, chosen, strict=True):
            draw = asked
            wanted.append(draw)
            while draw != last and draw.attempt + 1 < run.filters.attempts:
                draw = draw.again()
                wanted.append(draw)
        write_parquet(run.draws.table(wanted), table, DRAWS)


def _planned(
    model: str | Path,
    train: str | Path | None,
    test: str | Path | None,
    sampler: Mapping[str, Any],
    number: int,
    labels: Mapping[str | None, int] | None,
    length: int | None,
    filters: Mapping[str, Any],
    likelihood_samples: int,
    seed: int,
    kept: Path | None,
    guide: str | Path | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[Run, list[Draw]]:
    """The run, and the first draw of each sequence."""
    windows = None if train is None else read_parquet(train, WINDOWS)[["label", "sequence"]]
    run = Run(
        model,
        sampler=sampler,
        filters=filters,
        seed=seed,
        likelihood_samples=likelihood_samples,
        kept=kept,
        training=windows,
        guide=guide,
        progress=progress,
    )
    held_out = None if test is None else read_parquet(test, WINDOWS)["label"]
    counts = counts_of_labels(number, labels, run.denoiser, held_out, None if windows is None else windows["label"])
    if windows is None and length is None and run.templates is None:
        raise UserError(
            "Nothing says how long the sequences are to be.", "Give a length in bp, or a FASTA file of templates."
        )
    first = run.asked(counts, length, windows)
    log.info("%d sequences on %s", len(first), run.denoiser.device)
    return run, first


def counts_of_labels(
    number: int,
    labels: Mapping[str | None, int] | None,
    denoiser: Denoiser,
    held_out: pd.Series | None,
    known: pd.Series | None,
) -> dict[str | None, int]:
    """How many sequences of each label: ``labels`` where given; else ``number`` in the proportions of the held-out
    windows' labels (largest remainder); else in equal shares of the model's labels, or without a label if it has none.

    known: the training windows' labels. Raises UserError for a label that is not among them.
    """
    if labels:
        counts = dict(labels)
    elif held_out is not None:
        counts = share_out(number, held_out.value_counts().sort_index().to_dict())
    else:
        counts = share_out(number, dict.fromkeys(denoiser.labels, 1)) if denoiser.labels else {None: number}
    for label in counts:
        if known is not None and label not in set(known):
            raise UserError(
                f"generate.labels.{label} is not a label of the training windows ({', '.join(sorted(set(known)))}).",
                "Ask for labels that the model was trained on.",
            )
    return counts


def share_out(number: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Whole numbers in proportion to the weights that sum to ``number`` (largest remainders get the rest)."""
    total = sum(weights.values())
    exact = {label: number * weight / total for label, weight in weights.items()}
    counts = {label: int(value) for label, value in exact.items()}
    by_remainder = sorted(exact, key=lambda label: (counts[label] - exact[label], label))
    for label in by_remainder[: number - sum(counts.values())]:
        counts[label] += 1
    return {label: count for label, count in counts.items() if count}


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
