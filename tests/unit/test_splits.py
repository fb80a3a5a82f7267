"""Splits: what goes where, what is dropped, and that the order of rows decides nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_bert.errors import UserError
from diffusion_bert.genome.splits import canonical, reverse_complements, split_windows
from diffusion_bert.tables import FUNNEL, SPLIT_SUMMARY, WINDOWS, check

BASES = np.array(list("ACGT"))
HELD = {"by": "chromosome", "validation": ["chr2"], "test": ["chr10"], "seed": 1}
FRACTION = {"by": "fraction", "fractions": {"validation": 0.1, "test": 0.2}, "seed": 1}


def rows(*given_rows, **common):
    """WINDOWS from (chrom, start, label, sequence) with other columns given or plain."""
    frame = pd.DataFrame(given_rows, columns=["chrom", "start", "label", "sequence"])
    frame["end"] = frame["start"] + frame["sequence"].str.len()
    frame["summit"] = frame["start"] + 2
    frame = frame.assign(**{"strand": ".", "track": frame["label"], "score": 0.0} | common)
    return check(frame[list(WINDOWS)], WINDOWS, "test")


def many(n, *, labels=("a", "b"), chroms=("chr1", "chr2", "chr10"), length=12, seed=0, located=True):
    """n distinct random windows, labels and chromosomes in turn."""
    rng = np.random.default_rng(seed)
    sequences: dict[str, None] = {}
    while len(sequences) < n:
        sequences[canonical(["".join(rng.choice(BASES, length))])[0]] = None
    frame = pd.DataFrame({"sequence": list(sequences), "label": [labels[i % len(labels)] for i in range(n)]})
    frame["chrom"] = [chroms[i // len(labels) % len(chroms)] if located else None for i in range(n)]
    frame["start"] = rng.permutation(n) * 7 if located else pd.NA
    frame["end"] = frame["start"] + length
    frame["track"] = frame["label"]
    frame["score"] = rng.random(n)
    return check(frame.assign(summit=pd.NA, strand=".")[list(WINDOWS)], WINDOWS, "test")


def dropped(funnel, stage):
    here = funnel[funnel["stage"] == stage]
    return dict(zip(here["label"], here["dropped"], strict=True))


PLAIN = [
    ("chr1", 0, "a", "AAAAC"),
    ("chr1", 9, "b", "AAACC"),
    ("chr2", 0, "a", "AACAC"),
    ("chr2", 9, "b", "AACCC"),
    ("chr10", 0, "a", "ACAAC"),
    ("chr10", 9, "b", "ACACC"),
]


def test_by_chromosome():
    splits, summary, funnel = split_windows([rows(*PLAIN)], **HELD)
    assert {name: list(frame["sequence"]) for name, frame in splits.items()} == {
        "train": ["AAAAC", "AAACC"],
        "validation": ["AACAC", "AACCC"],
        "test": ["ACAAC", "ACACC"],
    }
    assert summary.to_dict("list") == {"label": ["a", "b"], "train": [1, 1], "validation": [1, 1], "test": [1, 1]}
    assert list(funnel["stage"]) == ["duplicate", "duplicate", "in_held_out", "in_held_out"]
    assert funnel["chrom"].isna().all()
    assert list(funnel["dropped"]) == [0, 0, 0, 0]
    for frame in splits.values():
        check(frame, WINDOWS, "split")
    check(summary, SPLIT_SUMMARY, "summary")
    check(funnel, FUNNEL, "funnel")


def test_duplicates_within_a_label_go_on_either_strand_and_the_best_stays():
    frame = rows(
        *PLAIN,
        ("chr1", 50, "a", "GTTTT"),  # the other strand of chr1:0
        ("chr1", 60, "b", "AAAAC"),  # the same, of another label: stays
        ("chr1", 20, "a", "CCCCC"),
        ("chr1", 10, "a", "GGGGG"),  # equal scores: the one that lies first stays
    )
    frame["score"] = [1.0] * 6 + [2.0, 0.0, 5.0, 5.0]
    splits, _, funnel = split_windows([frame], **HELD)
    train = splits["train"]
    assert list(zip(train["start"], train["label"], strict=True)) == [(9, "b"), (10, "a"), (50, "a"), (60, "b")]
    assert dropped(funnel, "duplicate") == {"a": 2, "b": 0}


def test_training_windows_in_held_out_splits_are_dropped_whatever_their_label():
    frame = rows(
        *PLAIN,
        ("chr1", 50, "b", "GTGTT"),  # chr2:0 of a, other strand
        ("chr1", 60, "a", "AACCC"),  # chr2:9 of b
        ("chr2", 70, "a", "GGTGT"),  # chr10:9 of b, other strand: validation in test
    )
    splits, summary, funnel = split_windows([frame], **HELD)
    assert dropped(funnel, "in_held_out") == {"a": 2, "b": 1}
    assert list(splits["train"]["start"]) == [0, 9]
    assert list(splits["validation"]["start"]) == [0, 9]
    assert list(splits["test"]["start"]) == [0, 9]
    assert summary["train"].sum() == 2


def test_max_per_track_takes_the_best_not_the_first():
    frame = many(90)
    splits, _, funnel = split_windows([frame], **HELD, max_per_track=20)
    kept = pd.concat(splits.values())
    for label in ("a", "b"):
        expected = frame[frame["label"] == label].nlargest(20, "score")["sequence"]
        assert set(kept.loc[kept["label"] == label, "sequence"]) == set(expected)
    assert dropped(funnel, "beyond_max_per_track") == {"a": 25, "b": 25}


@pytest.mark.parametrize("choose", ["best", "sample"])
def test_equal_scores_are_sampled_over_the_genome_and_the_seed_decides(choose):
    frame = many(600, labels=("a",)).assign(score=1000.0)
    starts = []
    for seed in (1, 1, 2):
        splits, _, _ = split_windows([frame], **HELD | {"seed": seed}, max_per_track=100, choose=choose)
        kept = pd.concat(splits.values())
        assert len(kept) == 100
        starts.append(sorted(kept["start"]))
        # The first hundred by coordinate would have a mean near 350; a sample's is near that of all, 2,096.
        assert abs(np.mean(starts[-1]) - frame["start"].mean()) < 4 * frame["start"].std() / 10
    assert starts[0] == starts[1] != starts[2]


def test_sample_ignores_scores():
    frame = many(300, labels=("a",))
    chosen = pd.concat(split_windows([frame], **HELD, max_per_track=100, choose="sample")[0].values())
    assert 0.4 < chosen["score"].mean() < 0.6


@pytest.mark.parametrize("located", [True, False])
def test_fractions_are_exact_for_each_label(located):
    frame = pd.concat([many(95, labels=("a", "b", "a"), located=located), many(4, labels=("c",), length=20, seed=1)])
    _, summary, funnel = split_windows([frame], **FRACTION)
    assert frame["label"].value_counts().to_dict() == {"a": 63, "b": 32, "c": 4}
    # floor(63 * .1 + .5) = 6 and floor(63 * .2 + .5) = 13; 32: 3 and 6; 4: 0 and 1
    assert summary.to_dict("list") == {
        "label": ["a", "b", "c"],
        "train": [44, 23, 3],
        "validation": [6, 3, 0],
        "test": [13, 6, 1],
    }
    assert funnel["dropped"].sum() == 0


def test_another_seed_draws_others():
    frame = many(200, located=False)
    one, same, other = (
        set(split_windows([frame], **FRACTION | {"seed": seed})[0]["test"]["sequence"]) for seed in (1, 1, 2)
    )
    assert one == same
    assert len(one) == len(other) == 40
    assert 0 < len(one & other) < 20


def test_by_fraction_one_sequence_lies_on_one_side_under_all_its_labels():
    frame = many(100, located=False)
    turned = frame.assign(sequence=reverse_complements(frame["sequence"]))
    both = pd.concat([frame, turned.assign(label="c", track="c")])
    splits, summary, _ = split_windows([both], **FRACTION)
    sides = [set(canonical(part["sequence"])) for part in splits.values()]
    assert [len(side) for side in sides] == [70, 10, 20]
    assert len(set.union(*sides)) == 100
    assert summary.set_index("label")["test"].to_dict() == {"a": 10, "b": 10, "c": 20}


@pytest.mark.parametrize("settings", [HELD, FRACTION, HELD | {"max_per_track": 30}])
def test_the_order_of_rows_and_tables_decides_nothing(settings):
    frame = many(200).assign(score=lambda frame: frame["score"].round(1))
    frame = pd.concat([frame, frame.assign(label="c").head(50), frame.tail(20)], ignore_index=True)
    splits, summary, funnel = split_windows([frame], **settings)
    shuffled = frame.sample(frac=1, random_state=1)
    again, other_summary, other_funnel = split_windows([shuffled[150:], shuffled[:150]], **settings)
    for name in splits:
        pd.testing.assert_frame_equal(splits[name], again[name])
    pd.testing.assert_frame_equal(summary, other_summary)
    pd.testing.assert_frame_equal(funnel, other_funnel)


# One window of each split and one more for training, whose sequences no drawn one equals.
OWN = [("chr1", 0, "CAT"), ("chr2", 0, "CTA"), ("chr10", 0, "GCA"), ("chr1", 30, "GAC")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["chr1", "chr2", "chr10", "chr11"]),
            st.integers(0, 20),
            st.sampled_from("abc"),
            st.text("ACGTN", min_size=2, max_size=3),
            st.integers(0, 2),
        ),
        max_size=40,
    ),
    st.booleans(),
)
@settings(deadline=None, max_examples=50)
def test_nothing_leaks_and_the_funnel_adds_up(drawn, by_chromosome):
    own = rows(
        *[
            (chrom, start, label, f"{base}{middle}AAAAA")
            for label, base in zip("abc", "ACG", strict=True)
            for chrom, start, middle in OWN
        ]
    )
    others = rows(*[row[:4] for row in drawn], score=[float(row[4]) for row in drawn])
    frame = pd.concat([own, others]) if drawn else own
    how = HELD if by_chromosome else {"by": "fraction", "fractions": {"validation": 0.3, "test": 0.3}, "seed": 3}
    splits, summary, funnel = split_windows([frame], **how)
    sides = {name: set(canonical(part["sequence"])) for name, part in splits.items()}
    assert not sides["train"] & (sides["validation"] | sides["test"])
    assert not sides["validation"] & sides["test"]
    kept = pd.concat(splits.values())
    assert not kept.assign(key=canonical(kept["sequence"])).duplicated(["label", "key"]).any()
    assert len(frame) == len(kept) + funnel["dropped"].sum()
    assert summary[["train", "validation", "test"]].to_numpy().sum() == len(kept)
    if by_chromosome:
        assert set(splits["validation"]["chrom"]) == {"chr2"}
        assert set(splits["test"]["chrom"]) == {"chr10"}
    # What is kept was there, every column of it.
    assert len(kept.merge(frame.drop_duplicates(), on=list(WINDOWS))) == len(kept)


def test_rows_come_in_natural_order_then_start_then_label():
    frame = many(300, chroms=("chr10", "chr2", "chrX", "chr1", "chr22"))
    frame["start"] = frame["start"] // 100
    train = split_windows([frame], **HELD | {"test": ["chr22"]})[0]["train"]
    assert list(train["chrom"].drop_duplicates()) == ["chr1", "chr10", "chrX"]
    chr1 = train[train["chrom"] == "chr1"]
    assert list(zip(chr1["start"], chr1["label"], strict=True)) == sorted(
        zip(chr1["start"], chr1["label"], strict=True)
    )


def test_reverse_complements():
    assert reverse_complements(["AACG", "N", "GATTACA"]) == ["CGTT", "N", "TGTAATC"]
    assert reverse_complements([]) == []
    assert canonical(["TTTT", "AAAA", "ACGT", "GN"]) == ["AAAA", "AAAA", "ACGT", "GN"]


@given(st.lists(st.text("ACGTN", min_size=1)))
def test_reverse_complements_invert_themselves(sequences):
    turned = reverse_complements(sequences)
    assert reverse_complements(turned) == sequences
    assert canonical(turned) == canonical(sequences)
    complement = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}
    assert turned == ["".join(complement[base] for base in reversed(sequence)) for sequence in sequences]


def test_a_label_absent_from_a_held_out_split_is_only_a_warning(caplog):
    split_windows([rows(*PLAIN, ("chr1", 99, "c", "CCCCC"))], **HELD)
    assert caplog.messages == [
        "split: no validation window has the label c",
        "split: no test window has the label c",
    ]


@pytest.mark.parametrize(
    ("frames", "settings", "message"),
    [
        ([], HELD, "No windows are left to split.*funnel"),
        ([rows(*PLAIN).head(0)], HELD, "No windows are left to split"),
        ([many(9, located=False)], HELD, "9 of 9 windows have no chromosome.*label a.*set split.by: fraction"),
        (
            [rows(*PLAIN)],
            HELD | {"test": ["chr7", "chr10"]},
            "split.test: no window lies on chr7.*chr1, chr2, chr10: li",
        ),
        ([rows(*PLAIN)], HELD | {"validation": ["chrY"]}, "split.validation: no window lies on chrY"),
        ([rows(*PLAIN)], HELD | {"validation": []}, "split.validation: no chromosome is listed.*List some of chr1"),
        ([rows(*PLAIN)], HELD | {"test": ["chr2"]}, "chr2 is in the lists of both.*Leave each"),
        ([rows(*PLAIN)], HELD | {"test": ["chr1", "chr10"]}, "no window is left for train.*List other chromosomes"),
        (
            [rows(*PLAIN[:2], ("chr2", 0, "b", "ACAAC"), *PLAIN[4:])],
            HELD,
            "no window is left for validation, after duplicates.*funnel says",
        ),
        (
            [rows(*PLAIN, ("chr2", 5, "c", "CCCCC"), ("chr10", 5, "d", "GCCCC"))],
            HELD,
            "no training window has the label c, d; a model cannot.*leave the label out",
        ),
        ([many(8)], FRACTION, "no window is left for validation.*Change split.fractions"),
        (
            [many(8)],
            FRACTION | {"fractions": {"validation": 0.5, "test": 0.5}},
            "validation 0.5 and test 0.5; .*below 1",
        ),
        ([many(8)], FRACTION | {"fractions": {"validation": 0.5}}, "validation 0.5 and test 0.0; two numbers above 0"),
        ([rows(*PLAIN).drop(columns="score")], HELD, "the windows: columns .* missing: score"),
    ],
)
def test_mistakes(frames, settings, message):
    with pytest.raises(UserError, match=message):
        split_windows(frames, **settings)
