"""The matched sets that every question of the evaluation looks at: equal n, label by label.

generated: what is judged. ceiling: held-out test windows, the best that a generator can be expected to do. Floors:
what little knowledge gives. reference: a sample of training windows, to which all the others are compared.
"""

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.letters import lengths_of
from diffusion_bert.evaluation.rows import ALL, CEILING, GENERATED, REFERENCE
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import Columns, check

SETS: Columns = {"set": "text", "name": "text", "label": "text", "sequence": "text"}
_LOG = logging.getLogger(__name__)


def match_sets(
    generated: pd.DataFrame, train: pd.DataFrame, test: pd.DataFrame, floors: Mapping[str, pd.DataFrame], *, seed: int
) -> pd.DataFrame:
    """The SETS table: of each label the smallest count that any set has, drawn without replacement from each set.

    generated, floors: SEQUENCES frames. train, test: WINDOWS frames. A label that some set has no sequence of is left
    out, with a line in the log. Where no label of the generated sequences is one of the training windows (a generator
    without labels), all sequences take the label ``all``.

    Lengths: tracks give windows of one width, and then all sets share it. Otherwise the floors made of test windows
    share the test windows' lengths; generated and reference sequences have their own, which the log states. All are
    written in upper case.

    Raises UserError where no label is left, where names repeat within a set, or where a floor takes a reserved name.
    """
    sources = {GENERATED: generated, CEILING: _named(test, "test"), **floors, REFERENCE: _named(train, "train")}
    if len(sources) < 3 + len(floors):
        raise UserError(
            f"A floor has one of the names {GENERATED}, {CEILING}, {REFERENCE}.", "Give the floor a name of its own."
        )
    # Case is how genomes mark repeats; to every question a lower-case base is that base.
    sources = {
        name: frame[["name", "label", "sequence"]].assign(sequence=frame["sequence"].str.upper())
        for name, frame in sources.items()
    }
    for name, frame in sources.items():
        repeated = frame["name"][frame["name"].duplicated()]
        if len(repeated):
            raise UserError(
                f"The sequences of {name} hold the name {repeated.iloc[0]} more than once.",
                "Give every sequence a name of its own.",
            )
    if len(generated) and not set(generated["label"]) & set(train["label"]):
        _LOG.info("no generated sequence has a label of the training windows: all labels are evaluated as one")
        sources = {name: frame.assign(label=ALL) for name, frame in sources.items()}
    counts = pd.DataFrame({name: frame["label"].value_counts() for name, frame in sources.items()})
    counts = counts.fillna(0).astype("int64").sort_index()
    smallest = counts.min(axis=1)
    for label in smallest.index[smallest < 1]:
        lacking = [name for name in counts if counts.loc[label, name] < 1]
        _LOG.info("label %s is left out of the evaluation: no sequence of it in %s", label, ", ".join(lacking))
    smallest = smallest[smallest >= 1]
    if smallest.empty:
        raise UserError(
            "No label has sequences in every set ("
            + "; ".join(
                f"{name}: {', '.join(sorted(set(frame['label']))) or 'none'}" for name, frame in sources.items()
            )
            + ").",
            "Generate sequences of labels that the test windows have, or change the split so that test has windows.",
        )
    out = [
        _drawn(frame, smallest, derive_seed(seed, "match_sets", name)).assign(set=name)
        for name, frame in sources.items()
    ]
    _log_lengths(out)
    return check(pd.concat(out, ignore_index=True)[list(SETS)], SETS, "the matched sets")


def _named(windows: pd.DataFrame, split: str) -> pd.DataFrame:
    """Windows with the names split_1, split_2, ... in the order of their table."""
    return windows.assign(name=[f"{split}_{row}" for row in range(1, len(windows) + 1)])


def _drawn(frame: pd.DataFrame, numbers: pd.Series, seed: int) -> pd.DataFrame:
    """So many rows of each label, sampled, in the order of the frame."""
    generator = np.random.default_rng(seed)
    labels = frame["label"].to_numpy()
    picked = [
        generator.choice(np.flatnonzero(labels == label), size=number, replace=False)
        for label, number in numbers.items()
    ]
    return frame.iloc[np.sort(np.concatenate(picked))]


def _log_lengths(frames: list[pd.DataFrame]) -> None:
    spans = {}
    for frame in frames:
        lengths = lengths_of(frame["sequence"].tolist())
        spans[frame["set"].iloc[0]] = (int(lengths.min()), int(lengths.max()))
    if len(set(spans.values())) > 1:
        text = "; ".join(f"{name} {low}-{high} bp" for name, (low, high) in spans.items())
        _LOG.info("the sets differ in length, which metrics that grow with length will show: %s", text)
