"""Which sequences a library holds: designs that are active and different, and controls to hold them against.

designs, of each label: the candidates that pass the filters are ranked by activity; among the best share of them those
are chosen that are far apart in their k-mers (``farthest_first``), or the most active where these are as far apart. A
smaller share gives more active designs that are more alike.

controls, of each label, each of which passes the same filters:
shuffled: designs, shuffled so that every dinucleotide stays: what composition alone does.
positive: held-out windows of the label: what real sequences do.
background: held-out windows, the positive ones first, shuffled likewise: what real sequences do without their words.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from diffusion_bert.design.diversity import farthest_first, kmer_profiles, to_nearest
from diffusion_bert.design.oligos import Oligos
from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.floors import dinucleotide_shuffle
from diffusion_bert.evaluation.letters import reverse_complement
from diffusion_bert.evaluation.rows import ALL
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import Columns, check

# A generated sequence and what became of it: the filter that dropped it, ``duplicate``, ``unknown label``, ``passed``
# (and ranked below the best share), ``among the best`` or ``chosen``. ``activity`` of those that pass the filters.
CANDIDATES: Columns = {"run": "text", "name": "text", "label": "text", "outcome": "text", "activity": "float?"}

# What is to be made. ``source``: the sequence's name in its run, ``test_`` and the row of the table of test windows
# from 1, or the name (here) or window that is shuffled.
INSERTS: Columns = {
    "name": "text",
    "category": "text",
    "label": "text",
    "run": "text?",
    "source": "text",
    "activity": "float?",
    "insert": "text",
}

# How many sequences of each label and category: ``asked`` for, looked at (``candidates``), dropped by each filter (the
# first that a sequence fails) and so on, and ``chosen``. ``run`` only of designs.
ACCOUNT: Columns = {"category": "text", "label": "text", "run": "text?", "what": "text", "sequences": "int"}

# Of each label: how far each sequence of a choice is from the nearest other one of that choice. ``chosen``; for
# comparison the ``most active``, and as many taken at ``random`` from those that pass.
DIVERSITY: Columns = {"label": "text", "choice": "text", "distance": "float?", "activity": "float"}

DESIGN, SHUFFLED, POSITIVE, BACKGROUND = "design", "shuffled", "positive", "background"
CONTROLS = (SHUFFLED, POSITIVE, BACKGROUND)
_ATTEMPTS = 20  # shuffles of one sequence, until one passes the filters
_LOG = logging.getLogger(__name__)

Activity = Callable[[list[str], list[str]], np.ndarray]


@dataclass
class Library:
    """candidates: CANDIDATES frame. inserts: INSERTS. account: ACCOUNT. diversity: DIVERSITY."""

    candidates: pd.DataFrame
    inserts: pd.DataFrame
    account: pd.DataFrame
    diversity: pd.DataFrame


def choose(
    candidates: pd.DataFrame, held_out: pd.DataFrame, settings: Mapping[str, Any], activity: Activity, *, seed: int
) -> Library:
    """The inserts of a library.

    candidates: columns ``run, name, label, sequence``, in the order of the runs, which decides between equals.
    held_out: WINDOWS frame of the test windows. settings: the config's ``library`` with every key given. activity: of
    sequences (n) for their requested labels (n), (n,) float64, NaN for a label that it does not know.

    A sequence that stands there already, on either strand, is a duplicate, whatever its label. A label that the guide
    does not know is left out, which the log tells. Controls of the label ``all`` come from windows of any label.
    Deterministic: names, rows and activities decide, and the seed. Cost: that of ``activity`` for all that pass, and of
    the choice (``farthest_first``).

    Raises UserError where a label has too few sequences that pass for what is asked for, with the counts.
    """
    oligos = Oligos.from_settings(settings)
    for name, times in oligos.meant().items():
        if times:
            _LOG.info("%s stands %d times in adapters and linker, and is left there as meant", name, times)
    frame = _filtered(candidates, oligos)
    passing = frame["outcome"] == "passed"
    frame["activity"] = np.nan
    frame.loc[passing, "activity"] = activity(
        frame.loc[passing, "sequence"].tolist(), frame.loc[passing, "label"].tolist()
    )
    unknown = passing & frame["activity"].isna()
    for label in sorted(set(frame.loc[unknown, "label"])):
        _LOG.warning("label %s is left out: the guide does not know it (too few training windows)", label)
    frame.loc[unknown, "outcome"] = "unknown label"
    if passing.any() and unknown[passing].all():
        raise UserError(
            "The guide knows none of the labels of the generated sequences, so nothing can be ranked "
            f"(labels: {', '.join(sorted(set(frame['label'])))}).",
            "Give more training windows, or name runs of other labels under library.runs.",
        )
    labels = [label for label in sorted(set(frame["label"])) if label not in set(frame.loc[unknown, "label"])]
    problems = [
        text for label in labels if (text := _shortfall(frame[frame["label"] == label], label, oligos, settings))
    ]
    designs: dict[str, pd.DataFrame] = {}
    diversity = []
    for label in labels if not problems else []:
        designs[label], compared = _designs(frame, label, settings, seed)
        diversity.append(compared)
    account = _account_of_designs(frame, labels, oligos, settings["number"])
    inserts = []
    used = {_key(sequence) for own in designs.values() for sequence in own["insert"]}
    for label, own in designs.items():
        inserts.append(own)
        controls = _Controls(label, own, held_out, oligos, seed, used)
        for category in CONTROLS:
            asked = settings["controls"][category]
            inserts.append(controls.made(category, asked))
            counts = controls.counts[category]
            account += [(category, label, None, what, count) for what, count in counts.items()]
            if counts["chosen"] < asked:
                problems.append(
                    f"Of label {label} {asked} {category} controls were asked for, and {counts['chosen']} could be "
                    f"made ({_told(counts, oligos)})."
                )
    if problems:
        raise UserError(
            " ".join(problems),
            "Lower library.number or library.controls, generate more sequences, or loosen library's filters.",
        )
    made = pd.concat(inserts, ignore_index=True)
    controls = made["category"] != DESIGN
    made.loc[controls, "activity"] = activity(
        made.loc[controls, "insert"].tolist(), made.loc[controls, "label"].tolist()
    )
    return Library(
        check(frame[list(CANDIDATES)], CANDIDATES, "the candidates"),
        check(made[list(INSERTS)], INSERTS, "the inserts"),
        check(pd.DataFrame(account, columns=list(ACCOUNT)), ACCOUNT, "the account"),
        check(pd.concat(diversity, ignore_index=True), DIVERSITY, "the diversity"),
    )


def _key(sequence: str) -> str:
    """The same for both strands."""
    return min(sequence, reverse_complement(sequence))


def _filtered(candidates: pd.DataFrame, oligos: Oligos) -> pd.DataFrame:
    frame = candidates[["run", "name", "label", "sequence"]].reset_index(drop=True)
    frame["sequence"] = frame["sequence"].str.upper()
    seen, outcomes = set(), []
    for sequence in frame["sequence"]:
        fault = oligos.fault(sequence)
        if fault is None:
            fault = "duplicate" if _key(sequence) in seen else None
            seen.add(_key(sequence))
        outcomes.append(fault or "passed")
    return frame.assign(outcome=outcomes)


def _shortfall(own: pd.DataFrame, label: str, oligos: Oligos, settings: Mapping[str, Any]) -> str | None:
    """What to tell where a label has fewer candidates that pass than are asked for."""
    counts = own["outcome"].value_counts()
    if counts.get("too long", 0) == len(own):
        shortest = int(own["sequence"].str.len().min())
        return (
            f"An oligo of label {label} has at least {oligos.shared + shortest} nt ({oligos.sum_of_parts(shortest)}), "
            f"and library.longest is {oligos.longest}: inserts may have {oligos.room} bp at most."
        )
    passed = int(counts.get("passed", 0))
    if passed >= settings["number"]:
        return None
    dropped = ", ".join(f"{counts[what]} {what}" for what in [*oligos.filters(), "duplicate"] if what in counts)
    return (
        f"Of label {label} {settings['number']} sequences were asked for (library.number), and of {len(own)} "
        f"candidates {passed} pass ({dropped or 'none was dropped'})."
    )


def _designs(
    frame: pd.DataFrame, label: str, settings: Mapping[str, Any], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The chosen of one label, as INSERTS, and its DIVERSITY; outcomes are written into the frame."""
    own = frame[(frame["label"] == label) & (frame["outcome"] == "passed")]
    ranked = own.sort_values("activity", ascending=False, kind="stable")
    number = settings["number"]
    best = ranked.iloc[: max(number, math.ceil(settings["top"] * len(ranked)))]
    profiles = kmer_profiles(best["sequence"].tolist())
    picked = farthest_first(profiles, number)
    # The greedy choice is not the best one: where the most active are as far apart, they are better in both.
    if to_nearest(profiles[:number]).min() >= to_nearest(profiles[picked]).min():
        picked = list(range(number))
    chosen = best.iloc[picked]
    frame.loc[best.index, "outcome"] = "among the best"
    frame.loc[chosen.index, "outcome"] = "chosen"
    generator = np.random.default_rng(derive_seed(seed, "random choice", label))
    drawn = own.iloc[np.sort(generator.permutation(len(own))[:number])]
    compared = []
    for name, part in (("chosen", chosen), ("most active", ranked.iloc[:number]), ("random", drawn)):
        nearest = to_nearest(kmer_profiles(part["sequence"].tolist()))
        compared.append(
            pd.DataFrame({"label": label, "choice": name, "distance": nearest, "activity": part["activity"].to_numpy()})
        )
        _LOG.info(
            "%s, %s %d of %d: mean activity %.3f, mean distance to the nearest %.3f",
            *(label, name, number, len(own), part["activity"].mean()),
            np.nanmean(nearest) if number > 1 else math.nan,
        )
    inserts = pd.DataFrame(
        {
            "name": [f"{label}_{DESIGN}_{i:04d}" for i in range(1, number + 1)],
            "category": DESIGN,
            "label": label,
            "run": chosen["run"].to_numpy(),
            "source": chosen["name"].to_numpy(),
            "activity": chosen["activity"].to_numpy(),
            "insert": chosen["sequence"].to_numpy(),
        }
    )
    return inserts, pd.concat(compared, ignore_index=True)


def _account_of_designs(frame: pd.DataFrame, labels: list[str], oligos: Oligos, number: int) -> list[tuple]:
    rows = []
    for label in sorted(set(frame["label"])):
        rows.append((DESIGN, label, None, "asked", number if label in labels else 0))
        for run, own in frame[frame["label"] == label].groupby("run", sort=False):
            counts = own["outcome"].value_counts()
            kept = [int(counts.get(what, 0)) for what in ("passed", "among the best", "chosen")]
            rows.append((DESIGN, label, run, "candidates", len(own)))
            dropped = [*oligos.filters(), "duplicate", "unknown label"]
            rows += [(DESIGN, label, run, what, int(counts[what])) for what in dropped if what in counts]
            for what, count in (("passed", sum(kept)), ("among the best", sum(kept[1:])), ("chosen", kept[2])):
                rows.append((DESIGN, label, run, what, count))
    return rows


class _Controls:
    """Controls of one label. used: what stands in the library already, on either strand; it grows."""

    def __init__(
        self, label: str, designs: pd.DataFrame, held_out: pd.DataFrame, oligos: Oligos, seed: int, used: set[str]
    ):
        self.label, self.designs, self.oligos, self.seed, self.used = label, designs, oligos, seed, used
        of_label = np.full(len(held_out), True) if label == ALL else (held_out["label"] == label).to_numpy()
        rows = np.flatnonzero(of_label)
        rows = np.random.default_rng(derive_seed(seed, "held-out", label)).permutation(rows)
        self.windows = [(f"test_{row + 1}", held_out["sequence"].iloc[row].upper()) for row in rows]
        self.counts: dict[str, Counter] = {}

    def made(self, category: str, asked: int) -> pd.DataFrame:
        """So many of a category, as INSERTS without activity; fewer where there are no more. Counts are kept."""
        counts = self.counts[category] = Counter({"asked": asked, "candidates": 0, "chosen": 0})
        rows = []
        for source, sequence in self._sources(category):
            if len(rows) == asked:
                break
            counts["candidates"] += 1
            made, fault = self._tried(category, source, sequence)
            if fault is None:
                self.used.add(_key(made))
                rows.append((f"{self.label}_{category}_{len(rows) + 1:04d}", source, made))
            else:
                counts[fault] += 1
        counts["chosen"] = len(rows)
        if category == POSITIVE:
            # Background is matched to the positives, window by window, as far as their numbers go.
            taken = {source for _, source, _ in rows}
            self.windows.sort(key=lambda window: window[0] not in taken)
        out = pd.DataFrame(rows, columns=["name", "source", "insert"], dtype="str")
        return out.assign(category=category, label=self.label, run=None, activity=np.nan)

    def _sources(self, category: str) -> Iterator[tuple[str, str]]:
        if category == SHUFFLED:
            return zip(self.designs["name"], self.designs["insert"], strict=True)
        return iter(list(self.windows))

    def _tried(self, category: str, source: str, sequence: str) -> tuple[str, str | None]:
        """What is made of a sequence, and what is wrong with it: the last fault where no attempt will do."""
        fault = None
        for attempt in range(1 if category == POSITIVE else _ATTEMPTS):
            made = sequence
            if category != POSITIVE:
                own = derive_seed(self.seed, category, self.label, source, attempt)
                made = dinucleotide_shuffle([sequence], seed=own)[0]
            fault = self.oligos.fault(made) or ("duplicate" if _key(made) in self.used else None)
            if fault is None:
                break
        return made, fault


def _told(counts: Counter, oligos: Oligos) -> str:
    room = f" (an insert has {oligos.room} bp at most)"
    parts = [
        f"{count} {what}{room if what == 'too long' else ''}"
        for what, count in counts.items()
        if count and what not in ("asked", "chosen")
    ]
    return ", ".join(parts) or "there is nothing to make them from"
