"""Windows against an independent computation (a slice a peak), and filters against brute force over all pairs."""

import logging
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pyfaidx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion_bert.errors import UserError
from diffusion_bert.genome import windows as module
from diffusion_bert.genome.fasta import index_genome
from diffusion_bert.genome.tracks import read_tracks
from diffusion_bert.genome.windows import STAGES, extract_windows
from diffusion_bert.tables import FUNNEL, PEAKS, WINDOWS, check

YEAST = Path(__file__).parents[3] / "shared" / "data" / "yeast_saccer3"
KEEP = {"fraction": 0.5, "within_label": "keep", "between_labels": "keep"}
LENGTH = 5000


@pytest.fixture(scope="module")
def fasta(tmp_path_factory):
    """One chromosome of all letters in both cases, with a run of N, a soft-masked run and some IUPAC codes."""
    folder = tmp_path_factory.mktemp("genome")
    letters = np.random.default_rng(1).choice(list("ACGTacgt"), LENGTH, p=[0.2] * 4 + [0.05] * 4)
    letters[1000:1050] = "N"
    letters[1050:1060] = "n"
    letters[2000:2300] = np.char.lower(letters[2000:2300])
    letters[[3000, 3003, 3007]] = ["R", "y", "K"]
    (folder / "in.fa").write_text(f">chr1\n{''.join(letters)}\n>chr2\n{'ACGT' * 50}\n")
    index_genome(folder / "in.fa", folder / "genome.fa")
    return folder / "genome.fa"


def table(*rows, chrom="chr1"):
    """PEAKS of (start, end, strand, summit, score, track, label)."""
    return check(pd.DataFrame([(chrom, *row) for row in rows], columns=list(PEAKS)), PEAKS, "test")


def at(*starts, width=20, label="l", track="t", scores=None):
    """Peaks whose windows of this width start here."""
    scores = scores or [0.0] * len(starts)
    return table(*((s, s + width, ".", None, c, track, label) for s, c in zip(starts, scores, strict=True)))


def random_peaks(number=400, seed=0, low=-50, high=LENGTH):
    generator = np.random.default_rng(seed)
    start = np.maximum(generator.integers(low, high, number), 0)
    size = generator.integers(1, 120, number)
    summit = start + generator.integers(0, size)
    track = generator.choice(["a", "b", "c"], number)
    return table(
        *zip(
            start.tolist(),
            (start + size).tolist(),
            generator.choice(["+", "-", "."], number).tolist(),
            [None if none else s for none, s in zip(generator.random(number) < 0.3, summit.tolist(), strict=True)],
            generator.integers(0, 50, number).astype(float).tolist(),
            track.tolist(),
            np.where(track == "c", "two", "one").tolist(),
            strict=True,
        )
    )


def dropped(funnel):
    return {stage: int(funnel.loc[funnel["stage"] == stage, "dropped"].sum()) for stage in STAGES}


def by_hand(fasta, peaks, chrom, width, centre):
    """Every peak on its own, by other means: pyfaidx and Biopython."""
    from Bio.Seq import Seq

    rows = []
    with pyfaidx.Fasta(str(fasta), rebuild=False) as genome:
        for peak in peaks.itertuples(index=False):
            middle = (peak.start + peak.end) // 2
            if centre == "summit" and not pd.isna(peak.summit):
                middle = peak.summit
            start = middle - width // 2
            if start < 0 or start + width > len(genome[chrom]):
                continue
            sequence = Seq(genome[chrom][start : start + width].seq.upper())
            if peak.strand == "-":
                sequence = sequence.reverse_complement()
            letters = "".join(letter if letter in "ACGT" else "N" for letter in sequence)
            rows.append((start, start + width, peak.strand, peak.track, peak.score, letters))
    return sorted(rows)


def as_rows(windows):
    return sorted(windows[["start", "end", "strand", "track", "score", "sequence"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("width", [1, 2, 7, 64, 101, 200, LENGTH])
@pytest.mark.parametrize("centre", ["summit", "midpoint"])
def test_windows_are_those_of_a_slice_a_peak(fasta, width, centre):
    peaks = random_peaks()
    windows, funnel = extract_windows(fasta, peaks, "chr1", width=width, centre=centre, max_n=1, overlap=KEEP)
    expected = by_hand(fasta, peaks, "chr1", width, centre)
    assert as_rows(windows) == expected
    assert dropped(funnel)["outside_chromosome"] == len(peaks) - len(expected)
    check(windows, WINDOWS, "windows")
    check(funnel, FUNNEL, "funnel")


@pytest.mark.skipif(not YEAST.is_dir(), reason="the shared real files are not beside this checkout")
def test_yeast_windows_are_those_of_a_slice_a_peak(tmp_path):
    index_genome(YEAST / "sacCer3.fa.gz", tmp_path / "genome.fa")
    names = ("Reb1", "promoter_TFO", "tRNA", "ATAC_hmmratac")
    files = [next((YEAST / "tracks").glob(f"{name}.*")) for name in names]
    for chrom in ("chrV", "chrM"):
        peaks = read_tracks([((n, n, "auto"), f) for n, f in zip(names, files, strict=True)], chrom=chrom)
        windows, _ = extract_windows(tmp_path / "genome.fa", peaks, chrom, width=200, overlap=KEEP)
        assert as_rows(windows) == by_hand(tmp_path / "genome.fa", peaks, chrom, 200, "summit")
        assert len(windows)


@pytest.mark.skipif(not shutil.which("bedtools"), reason="bedtools is not installed")
def test_sequences_are_those_of_bedtools_getfasta(tmp_path, fasta):
    windows, _ = extract_windows(fasta, random_peaks(), "chr1", width=50, overlap=KEEP)
    bed = tmp_path / "windows.bed"
    windows.assign(name="x", score=0)[["chrom", "start", "end", "name", "score", "strand"]].to_csv(
        bed, sep="\t", header=False, index=False
    )
    command = ["bedtools", "getfasta", "-s", "-tab", "-fi", str(fasta), "-bed", str(bed)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert [line.split("\t")[1].upper() for line in lines] == windows["sequence"].tolist()


def test_the_summit_is_not_the_midpoint(fasta, caplog):
    peaks = table((100, 200, "+", 110, 1.0, "t", "l"), (300, 401, "+", None, 1.0, "t", "l"))
    with caplog.at_level(logging.INFO):
        windows, _ = extract_windows(fasta, peaks, "chr1", width=20, overlap=KEEP)
    assert windows["start"].tolist() == [100, 340]
    assert windows["summit"].tolist() == [110, pd.NA]
    assert "chr1: 1 of 2 peaks have no summit; their midpoint is used." in caplog.messages
    windows, _ = extract_windows(fasta, peaks, "chr1", width=20, centre="midpoint", overlap=KEEP)
    assert windows["start"].tolist() == [140, 340]


def test_windows_reach_both_ends_of_the_chromosome_and_not_over_them(fasta, caplog):
    peaks = at(0, LENGTH - 20, LENGTH - 19)
    windows, funnel = extract_windows(fasta, peaks, "chr1", width=20, overlap=KEEP)
    assert windows["start"].tolist() == [0, LENGTH - 20]
    assert dropped(funnel)["outside_chromosome"] == 1
    assert "1 of 3 peaks end beyond the chromosome (5000 bp): are tracks and genome of one assembly?" in caplog.text
    _, funnel = extract_windows(fasta, at(5, 10, width=4), "chr1", width=20, overlap=KEEP)
    assert dropped(funnel)["outside_chromosome"] == 1  # centre 7 is too near to the start, 12 is not


def test_only_the_chromosome_asked_for(fasta):
    peaks = pd.concat([at(10, 50), table((10, 30, "-", None, 1.0, "t", "l"), chrom="chr2")])
    windows, funnel = extract_windows(fasta, peaks, "chr2", width=20, overlap=KEEP)
    assert windows[["chrom", "start", "sequence"]].to_numpy().tolist() == [["chr2", 10, "GTAC" * 5]]
    assert set(funnel["chrom"]) == {"chr2"}


def test_case_is_measured_and_then_made_upper(fasta):
    peaks = at(1980, 1990, 2000, 2100)
    windows, funnel = extract_windows(fasta, peaks, "chr1", width=20, max_lower_case=0.9, overlap=KEEP)
    assert set(windows["start"]) <= {1980, 1990}
    assert dropped(funnel)["soft_masked"] >= 2
    windows, funnel = extract_windows(fasta, peaks, "chr1", width=20, max_lower_case=1.0, overlap=KEEP)
    assert len(windows) == 4
    assert windows["sequence"].str.fullmatch("[ACGT]{20}").all()
    assert dropped(funnel)["soft_masked"] == 0


@pytest.mark.parametrize(("max_n", "starts"), [(0.0, [900, 980]), (0.5, [900, 980, 990, 1050]), (1.0, None)])
def test_share_of_n_may_be_equal_to_the_limit_and_not_above(fasta, max_n, starts):
    peaks = at(900, 980, 990, 991, 1000, 1049, 1050)
    windows, funnel = extract_windows(fasta, peaks, "chr1", width=20, max_n=max_n, overlap=KEEP)
    assert windows["start"].tolist() == (starts or [900, 980, 990, 991, 1000, 1049, 1050])
    assert dropped(funnel)["ambiguous_bases"] == 7 - len(windows)
    assert dict(zip(windows["start"], windows["sequence"].str.count("N"), strict=True)).get(990, 10) == 10


def test_iupac_codes_count_as_n_and_become_n(fasta):
    peaks = table((2995, 3015, "+", None, 1.0, "t", "l"), (2995, 3015, "-", None, 1.0, "t", "l"))
    assert len(extract_windows(fasta, peaks, "chr1", width=20, max_n=0.14, overlap=KEEP)[0]) == 0
    windows, _ = extract_windows(fasta, peaks, "chr1", width=20, max_n=0.15, overlap=KEEP)
    forward, reverse = windows["sequence"]
    assert [i for i, letter in enumerate(forward) if letter == "N"] == [5, 8, 12]
    assert [i for i, letter in enumerate(reverse) if letter == "N"] == [7, 11, 14]


@pytest.mark.parametrize("width", [1, 8, 200, 2040, 2048, 4099])
def test_letters_are_counted_for_every_width(width):
    flags = (np.random.default_rng(2).random((5, width)) < 0.9).astype(np.uint8)
    flags[0] = 1
    assert module._row_sums(flags).tolist() == flags.astype(int).sum(axis=1).tolist()


def test_blacklist(fasta):
    blacklist = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2"], "start": [100, 110, 300], "end": [130, 115, 400]})
    peaks = at(79, 80, 81, 100, 129, 130, 300)
    windows, funnel = extract_windows(fasta, peaks, "chr1", width=20, blacklist=blacklist, overlap=KEEP)
    assert windows["start"].tolist() == [79, 80, 130, 300]
    assert dropped(funnel)["blacklist"] == 3
    windows, _ = extract_windows(fasta, peaks, "chr1", width=20, blacklist=blacklist.iloc[:0], overlap=KEEP)
    assert len(windows) == 7


intervals = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=8)


@given(intervals, st.lists(st.integers(-5, 70), min_size=1, max_size=6), st.integers(1, 9))
def test_touching_is_sharing_a_base(regions, starts, width):
    frame = pd.DataFrame([("c", low, low + size) for low, size in regions], columns=["chrom", "start", "end"])
    found = module._touches(np.array(starts), width, "c", frame.astype({"start": "int64", "end": "int64"}))
    assert found.tolist() == [any(low < s + width and s < low + size for low, size in regions) for s in starts]


@given(st.integers(1, 300), st.integers(1, 100))
def test_reach_is_the_farthest_that_shares_the_fraction(width, percent):
    fraction = percent / 100
    reach = module._reach(width, fraction)
    assert (width - reach) * 100 >= percent * width
    assert width - reach >= 1
    assert reach == width - 1 or (width - reach - 1) * 100 < percent * width


def greedy(start, label, value, reach, *, within):
    """The definition, over all pairs: best first, ties by position; kept unless a kept one is in reach."""
    kept = []
    for i in sorted(range(len(start)), key=lambda i: (-value[i], i)):
        if not any(abs(start[i] - start[k]) <= reach and (label[i] == label[k]) == within for k in kept):
            kept.append(i)
    return [i in kept for i in range(len(start))]


crowd = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2), st.integers(0, 4)), max_size=25)


@given(crowd, st.integers(0, 12))
@settings(max_examples=300, deadline=None)
def test_overlaps_against_all_pairs(rows, reach):
    rows = sorted(rows)
    start, label, value = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(3))
    expected = greedy(start, label, value, reach, within=True)
    assert module._best_within(start, label, value, reach).tolist() == expected
    expected = greedy(start, label, value, reach, within=False)
    assert module._best_between(start, label, value, reach).tolist() == expected
    contested = [
        any(abs(s - o) <= reach and a != b for o, b in zip(start, label, strict=True))
        for s, a in zip(start, label, strict=True)
    ]
    assert module._contested_between(start, label, reach).tolist() == contested


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=20))
def test_rank_is_the_share_of_the_track_that_scores_no_higher(rows):
    track, score = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(2))
    expected = [sum(t == u and c <= d for u, c in rows) / sum(t == u for u, _ in rows) for t, d in rows]
    assert module._rank(score.astype(float), track).tolist() == expected


def overlap(fraction=0.5, within="best", between="keep"):
    return {"fraction": fraction, "within_label": within, "between_labels": between}


def starts_of(fasta, peaks, **options):
    windows, funnel = extract_windows(fasta, peaks, "chr1", width=20, overlap=overlap(**options))
    return windows["start"].tolist(), dropped(funnel)


def test_within_a_label_the_best_stays(fasta):
    peaks = at(100, 110, 120, 200, 211, scores=[1.0, 3.0, 2.0, 5.0, 5.0])
    starts, lost = starts_of(fasta, peaks)
    assert starts == [110, 200, 211]
    assert lost["overlap_within_label"] == 2
    assert starts_of(fasta, peaks, fraction=0.51)[0] == [100, 110, 120, 200, 211]
    assert starts_of(fasta, peaks, fraction=0.01)[0] == [110, 200]
    assert starts_of(fasta, peaks, within="keep")[0] == [100, 110, 120, 200, 211]
    assert starts_of(fasta, at(100, 105, scores=[1.0, 1.0]))[0] == [100]


def test_one_window_may_free_another(fasta):
    """The second best of a chain falls to the best, and so does not put out the third."""
    assert starts_of(fasta, at(100, 109, 118, scores=[3.0, 2.0, 1.0]))[0] == [100, 118]


def test_between_labels(fasta):
    peaks = pd.concat(
        [
            at(100, 400, 800, label="x", track="a", scores=[10.0, 20.0, 30.0]),
            at(105, 500, 805, label="y", track="b", scores=[0.3, 0.2, 0.1]),
        ]
    )
    assert starts_of(fasta, peaks)[0] == [100, 105, 400, 500, 800, 805]
    starts, lost = starts_of(fasta, peaks, between="best")
    assert starts == [105, 400, 500, 800]  # by rank within the track: the scales differ
    assert lost["overlap_between_labels"] == 2
    starts, lost = starts_of(fasta, peaks, between="drop")
    assert starts == [400, 500]
    assert lost["overlap_between_labels"] == 4


@pytest.mark.parametrize("between", ["keep", "best", "drop"])
@pytest.mark.parametrize("jitter", [0, 13])
def test_no_result_depends_on_the_order_of_peaks(fasta, between, jitter):
    peaks = random_peaks(600)
    peaks = pd.concat([peaks, peaks.iloc[:50], peaks.iloc[:50].assign(strand="+")], ignore_index=True)
    options = {"width": 60, "jitter": jitter, "max_n": 0.1, "max_lower_case": 0.5, "overlap": overlap(between=between)}
    expected = extract_windows(fasta, peaks, "chr1", **options)
    for seed in (1, 2):
        shuffled = peaks.sample(frac=1, random_state=seed)
        for one, other in zip(extract_windows(fasta, shuffled, "chr1", **options), expected, strict=True):
            pd.testing.assert_frame_equal(one, other)


def test_jitter_is_seeded_even_and_a_matter_of_the_peak_alone(fasta):
    peaks = at(*range(200, 4600, 2))

    def shifts(rows, **options):
        options = {"width": 20, "jitter": 3, "seed": 1, "max_n": 1.0} | options
        windows, _ = extract_windows(fasta, rows, "chr1", overlap=KEEP, **options)
        return dict(zip(windows["sequence"] + windows["start"].astype(str), windows["start"], strict=True)), windows

    first, windows = shifts(peaks)
    assert shifts(peaks)[0] == first
    assert shifts(peaks, seed=2)[0] != first
    assert shifts(peaks.assign(track="other"))[0] != first
    few = shifts(pd.concat([peaks.iloc[::7], at(3333, track="more")]))[0]
    assert len(set(few) - set(first)) <= 1
    moved = module._jitter(1, "chr1", ["t"], np.zeros(70_000, dtype=int), np.arange(70_000), np.arange(70_000) + 20, 3)
    counts = np.bincount(moved + 3, minlength=7)
    assert len(counts) == 7
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 22.5  # chi-square, 6 degrees of freedom, p = 0.001
    assert len(windows) == len(peaks)


def test_funnel_accounts_for_every_peak_of_every_track(fasta):
    peaks = random_peaks(800)
    blacklist = pd.DataFrame({"chrom": ["chr1"], "start": [4000], "end": [4500]})
    windows, funnel = extract_windows(
        fasta, peaks, "chr1", width=60, max_lower_case=0.5, blacklist=blacklist, overlap=overlap(between="best")
    )
    for (track, label), rows in funnel.groupby(["track", "label"]):
        assert rows["stage"].tolist() == list(STAGES)
        mine = peaks[peaks["track"] == track]
        assert rows["kept"].iloc[0] == len(mine)
        assert set(mine["label"]) == {label}
        assert (rows["kept"].shift(fill_value=len(mine)) - rows["dropped"] == rows["kept"]).all()
        assert rows["kept"].iloc[-1] == (windows["track"] == track).sum()
        assert rows["dropped"].iloc[[0, -1]].tolist() == [0, 0]
    assert all(dropped(funnel)[stage] > 0 for stage in STAGES[1:-1])


def test_no_peaks(fasta):
    for peaks in (table(), at(10, 20).assign(chrom="chr2")):
        windows, funnel = extract_windows(fasta, peaks, "chr1", width=20, jitter=2, overlap=overlap(between="best"))
        assert len(windows) == len(funnel) == 0
        assert (list(windows), list(funnel)) == (list(WINDOWS), list(FUNNEL))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 5001}, "window width 5001 does not fit chromosome chr1, which is 5000 bp long.*shortest chromosome"),
        ({"width": 0}, "window width 0 does not fit"),
        ({"centre": "middle"}, "centre is 'middle'.*summit, midpoint"),
        ({"jitter": -1}, "jitter is -1"),
        ({"overlap": overlap(fraction=0)}, "fraction is 0.*above 0 and up to 1"),
        ({"overlap": overlap(fraction=math.nan)}, "fraction is nan"),
        ({"overlap": overlap(within="drop")}, "within_label is 'drop'.*best, keep"),
        ({"overlap": overlap(between="none")}, "between_labels is 'none'.*keep, best, drop"),
    ],
)
def test_settings_without_meaning(fasta, options, message):
    with pytest.raises(UserError, match=message):
        extract_windows(fasta, at(10), "chr1", **({"width": 20, "overlap": KEEP} | options))
