"""Training, validation and test windows: nothing leaks from one into another, and every choice is stated.

The same windows give the same splits in whatever order they come. Two sequences are the same when they are equal on
either strand.
"""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import FUNNEL, SPLIT_SUMMARY, WINDOWS, check

SPLITS = ("train", "validation", "test")
_COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


def split_windows(
    windows: Sequence[pd.DataFrame],
    *,
    by: str,
    validation: Sequence[str] = (),
    test: Sequence[str] = (),
    fractions: Mapping[str, float] | None = None,
    max_per_track: int | None = None,
    choose: str = "best",
    seed: int,
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.DataFrame]:
    """Split WINDOWS tables; returns {"train", "validation", "test"} -> WINDOWS, a SPLIT_SUMMARY and a FUNNEL.

    The steps, each a stage of the funnel (its ``chrom`` is null: the stages see all chromosomes together):

    1. ``duplicate``: of equal sequences within a label the one with the best score stays, ties by position.
    2. ``beyond_max_per_track``: of each track at most max_per_track windows stay over all splits; ``best`` takes the
       highest scores, ``sample`` a seeded sample. Equal scores are told apart by the same seeded draw, never by
       position, since many peak callers cap their scores.
    3. the split. ``chromosome``: windows on the chromosomes of ``validation`` and ``test`` go there, all others are
       for training. ``fraction``: of each label's n sequences floor(n * fraction + 1/2) go to validation and as many
       by its own fraction to test, drawn by a seeded hash of the sequence; a sequence of several labels goes, with
       all of them, where the draw of its rarest label (ties by name) puts it.
    4. ``in_held_out``: a training window whose sequence is in validation or test, under any label, is dropped, and
       so is a validation window whose sequence is in test.

    Rows come out in natural order of chromosome names (chr2 before chr10), then start and label; windows without
    coordinates last, by label and sequence.
    Raises UserError for windows without chromosome where the split is by chromosome, chromosomes that no window has
    or that are in both lists, fractions that leave nothing, an empty split and a label without training windows.
    """
    frame = pd.concat([check(part, WINDOWS, "the windows") for part in windows], ignore_index=True) if windows else None
    if frame is None or not len(frame):
        raise UserError("No windows are left to split.", "See the windows' funnel for the filter that dropped them.")
    frame = _in_order(frame)
    frame["key"] = canonical(frame["sequence"])
    funnel: list[pd.DataFrame] = []

    best = frame.sort_values("score", ascending=False, kind="stable")
    frame = _keep(frame, ~best.duplicated(["label", "key"]).sort_index(), "duplicate", funnel)
    if max_per_track is not None:
        kept = _chosen(frame, max_per_track, choose, seed)
        frame = _keep(frame, kept, "beyond_max_per_track", funnel)
    if by == "chromosome":
        side = _by_chromosome(frame, list(validation), list(test))
    else:
        side = _by_fraction(frame, fractions or {}, seed)
    in_test = frame["key"].isin(frame["key"][side == "test"])
    in_validation = frame["key"].isin(frame["key"][side == "validation"])
    leaked = ((side == "train") & (in_validation | in_test)) | ((side == "validation") & in_test)
    frame["side"] = side
    frame = _keep(frame, ~leaked, "in_held_out", funnel)

    _refuse_empty(frame, by)
    splits = {name: frame.loc[frame["side"] == name, list(WINDOWS)].reset_index(drop=True) for name in SPLITS}
    counts = pd.crosstab(frame["label"], frame["side"]).reindex(columns=list(SPLITS), fill_value=0).reset_index()
    summary = check(counts, SPLIT_SUMMARY, "the summary of the splits")
    return splits, summary, check(pd.concat(funnel), FUNNEL, "the funnel of the splits")


def reverse_complements(sequences: Sequence[str]) -> list[str]:
    """The reverse complement of each sequence of A, C, G, T and N; no loop over bases or sequences."""
    if not len(sequences):
        return []
    # Reversing the joined text reverses each sequence and their order; the order is then turned back.
    return "\n".join(sequences).encode().translate(_COMPLEMENT)[::-1].decode().split("\n")[::-1]


def canonical(sequences: Sequence[str]) -> list[str]:
    """Of each sequence and its reverse complement the one that sorts first: equal for equal sequences only."""
    return [min(pair) for pair in zip(sequences, reverse_complements(sequences), strict=True)]


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key that takes runs of digits as numbers."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", name)]


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows in an order that depends on their content only."""
    names = sorted(frame["chrom"].dropna().unique(), key=_natural)
    rank = frame["chrom"].map({name: number for number, name in enumerate(names)}).fillna(len(names))
    columns = ["rank", "start", "label", "end", "track", "sequence", "strand", "summit", "score"]
    return frame.assign(rank=rank).sort_values(columns, kind="stable", ignore_index=True).drop(columns="rank")


def _keep(frame: pd.DataFrame, kept: pd.Series, stage: str, funnel: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows that are kept; the counts by track and label are added to the funnel."""
    counts = kept.groupby([frame["track"], frame["label"]]).agg(["sum", "size"]).reset_index()
    funnel.append(
        pd.DataFrame(
            {
                "chrom": None,
                "track": counts["track"],
                "label": counts["label"],
                "stage": stage,
                "kept": counts["sum"],
                "dropped": counts["size"] - counts["sum"],
            }
        )
    )
    return frame[kept].reset_index(drop=True)


def _draw(seed: int, purpose: str, texts: Sequence[str]) -> np.ndarray:
    """A seeded draw for each text that depends on the text alone, so that the order of rows does not matter."""
    key = derive_seed(seed, "split_windows", purpose).to_bytes(8, "big")
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8, key=key).digest() for text in texts)
    return np.frombuffer(digests, ">u8").astype(np.uint64)


def _chosen(frame: pd.DataFrame, number: int, choose: str, seed: int) -> pd.Series:
    """Boolean: the windows of each track that are among its ``number`` best or sampled."""
    # Start and chromosome are part of the text: one track may hold one sequence at several places, by label.
    places = frame["chrom"].fillna("") + ":" + frame["start"].astype("str").fillna("") + ":" + frame["label"]
    draws = pd.DataFrame({"draw": _draw(seed, "max_per_track", places + ":" + frame["key"]), "track": frame["track"]})
    draws["score"] = -frame["score"] if choose == "best" else 0.0
    rank = draws.sort_values(["score", "draw"], kind="stable").groupby("track").cumcount().sort_index()
    return rank < number


def _by_chromosome(frame: pd.DataFrame, validation: list[str], test: list[str]) -> pd.Series:
    """Each row's split, by the lists of chromosomes."""
    without = frame["chrom"].isna()
    if without.any():
        row = frame[without].iloc[0]
        raise UserError(
            f"split.by: chromosome, but {without.sum()} of {len(frame)} windows have no chromosome, among them one of "
            f"label {row['label']}.",
            "Name the column that holds it under sequences.columns.chrom, or set split.by: fraction.",
        )
    known = sorted(frame["chrom"].unique(), key=_natural)
    for split, chroms in (("validation", validation), ("test", test)):
        if not chroms:
            raise UserError(
                f"split.{split}: no chromosome is listed, but the split is by chromosome.",
                f"List some of {', '.join(known)}, or set split.by: fraction.",
            )
        unknown = [chrom for chrom in chroms if chrom not in known]
        if unknown:
            raise UserError(
                f"split.{split}: no window lies on {', '.join(unknown)}.",
                f"Windows lie on {', '.join(known)}: list some of these.",
            )
    if both := [chrom for chrom in validation if chrom in test]:
        raise UserError(
            f"split: {', '.join(both)} is in the lists of both validation and test.",
            "Leave each chromosome in one list.",
        )
    side = pd.Series("train", index=frame.index)
    side[frame["chrom"].isin(validation)] = "validation"
    side[frame["chrom"].isin(test)] = "test"
    return side


def _by_fraction(frame: pd.DataFrame, fractions: Mapping[str, float], seed: int) -> pd.Series:
    """Each row's split, by a seeded draw within each label; equal sequences on one side whatever their labels."""
    shares = {name: fractions.get(name, 0.0) for name in ("validation", "test")}
    if min(shares.values()) <= 0 or sum(shares.values()) >= 1:
        raise UserError(
            f"split.fractions: validation {shares['validation']} and test {shares['test']}; two numbers above 0 whose "
            "sum is below 1 were expected.",
            "Give for example {validation: 0.1, test: 0.1}.",
        )
    sizes = frame["label"].value_counts()
    rarity = {label: number for number, (label, _) in enumerate(sorted(sizes.items(), key=lambda item: item[::-1]))}
    by_rarity = frame.assign(rarity=frame["label"].map(rarity)).sort_values("rarity", kind="stable")
    groups = by_rarity.drop_duplicates("key")[["key", "label"]]
    groups = groups.assign(draw=_draw(seed, "fraction", groups["key"])).sort_values(["draw", "key"])
    rank = groups.groupby("label").cumcount()
    number = groups.groupby("label")["key"].transform("size")
    held = {name: np.floor(number * share + 0.5) for name, share in shares.items()}
    side = np.select(
        [rank < held["validation"], rank < held["validation"] + held["test"]], ["validation", "test"], "train"
    )
    return frame["key"].map(dict(zip(groups["key"], side, strict=True)))


def _refuse_empty(frame: pd.DataFrame, by: str) -> None:
    """Raises UserError for a split without windows and for a label without training windows."""
    sides = set(frame["side"])
    for name in SPLITS:
        if name not in sides:
            remedy = {
                "chromosome": "List other chromosomes under split.validation and split.test",
                "fraction": "Change split.fractions or bring more windows",
            }[by]
            raise UserError(
                f"split: no window is left for {name}, after duplicates and sequences of held-out splits were dropped.",
                f"{remedy}; the splits' funnel says what was dropped.",
            )
    labels = frame["label"].unique()
    trained = set(frame["label"][frame["side"] == "train"])
    if untrained := sorted(set(labels) - trained):
        raise UserError(
            f"split: no training window has the label {', '.join(untrained)}; a model cannot learn it.",
            "Hold out other chromosomes or smaller fractions, or leave the label out.",
        )
    for name in ("validation", "test"):
        if absent := sorted(set(labels) - set(frame["label"][frame["side"] == name])):
            logging.warning("split: no %s window has the label %s", name, ", ".join(absent))
