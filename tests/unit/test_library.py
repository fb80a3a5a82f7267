"""A library to order: every filter by brute force, the choice, barcodes, controls, the tables, and what is refused."""

import itertools
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from Bio.Restriction import AllEnzymes
from Bio.Seq import Seq
from evaluation_cases import complement, random_sequences, windows

from diffusion_bert.design.barcodes import Barcodes
from diffusion_bert.design.choose import ACCOUNT, CANDIDATES, DIVERSITY, INSERTS, choose
from diffusion_bert.design.diversity import distances, farthest_first, kmer_profiles, to_nearest
from diffusion_bert.design.guided import choose_library
from diffusion_bert.design.oligos import Oligos
from diffusion_bert.design.order import OLIGOS, as_oligos, order_library
from diffusion_bert.errors import UserError
from diffusion_bert.figures.library import draw_library
from diffusion_bert.oracle.folder import Oracle, load_oracle, save_oracle
from diffusion_bert.oracle.network import SequenceNetwork
from diffusion_bert.settings import library_runs, load_config
from diffusion_bert.tables import SEQUENCES, WINDOWS, check, read_fasta, read_tsv, write_parquet, write_tsv

SCHEMA = Path(__file__).resolve().parents[2] / "workflow/schemas/config.schema.json"
FIVE, LINKER, THREE = "ACTGGCCGCTTGACG", "GGTACCTCTAGA", "CACTGCGGCTCCTGC"
PLAIN = {
    "runs": None,
    "number": 6,
    "top": 0.5,
    "controls": {"shuffled": 0, "positive": 0, "background": 0},
    "adapters": {"five_prime": FIVE, "linker": LINKER, "three_prime": THREE},
    "barcodes": None,
    "forbidden": [],
    "max_homopolymer": None,
    "gc": None,
    "longest": 300,
}
BARCODES = {"length": 10, "per_sequence": 1, "distance": 3}


def settings(**changes) -> dict:
    nested = {key: {**PLAIN[key], **changes.pop(key)} for key in ("controls", "adapters") if key in changes}
    return {**PLAIN, **nested, **changes}


def oligos(**changes) -> Oligos:
    return Oligos.from_settings(settings(**changes))


# Filters.


@pytest.mark.parametrize("name", ["EcoRI", "BsaI", "KpnI", "HinfI", "SfiI"])
@pytest.mark.parametrize("barcoded", [False, True])
def test_sites_are_those_biopython_finds_less_those_of_the_shared_parts(name, barcoded):
    """As many sites in the oligo as in its shared parts: the insert and its junctions add none. Else it is refused."""
    enzyme = AllEnzymes.get(name)
    of_all = oligos(forbidden=[name], barcodes=BARCODES if barcoded else None)
    inserts = random_sequences(300, 1, width=40)
    tags = random_sequences(300, 2, width=10) if barcoded else [""] * 300
    flank = "A" * 30  # Biopython leaves out sites whose cut lies outside
    fixed = [FIVE, LINKER + THREE] if not barcoded else [FIVE, LINKER, THREE]
    site = "".join({"N": "A"}.get(letter, letter) for letter in enzyme.site)
    inserts[::4] = [insert[:7] + site + insert[7 + len(site) :] for insert in inserts[::4]]
    inserts[1::4] = [insert[:-5] + complement(site)[:5] for insert in inserts[1::4]]
    meant = sum(_sites(enzyme, "N" * 30 + part + "N" * 30) for part in fixed)
    assert of_all.meant()[name] == meant
    expected = [
        _sites(enzyme, flank + FIVE + insert + LINKER + tag + THREE + flank) > meant
        for insert, tag in zip(inserts, tags, strict=True)
    ]
    found = [of_all.fault(insert, tag) for insert, tag in zip(inserts, tags, strict=True)]
    assert [one is not None for one in found] == expected
    assert set(found) == {None, f"forbidden {name}"}


def _sites(enzyme, text: str) -> int:
    """Places on either strand; those whose cut lies outside of the text Biopython leaves out."""
    return len(set(enzyme.search(Seq(text))))


@pytest.mark.parametrize(
    ("insert", "barcode", "where"),
    [
        ("AATTCGGATCACATA", "ACACTACTCA", "5' adapter and insert"),
        ("GGATCACATACAG", "ACACTACTCA", "insert and linker"),
        ("GGATCACATAC", "TTCACTACTC", "linker and barcode"),
        ("GGATCACATAC", "CACTCAGAAT", "barcode and 3' adapter"),
    ],
)
def test_a_site_over_a_junction_is_caught(insert, barcode, where):
    parts = {"five_prime": "ACTGGCCGCTTGACG", "linker": "AATTCTGTACGAA", "three_prime": "TCACTGCGGCTCC"}
    junctions = oligos(adapters=parts, barcodes=BARCODES, forbidden=["EcoRI"])
    whole = junctions.oligo(insert, barcode)
    assert whole.count("GAATTC") == 1, where
    assert all("GAATTC" not in part for part in (*parts.values(), insert, barcode))
    assert junctions.fault(insert, barcode) == "forbidden EcoRI"
    # What the barcode has a part in is not seen before there is one.
    assert (junctions.fault(insert) is None) == ("barcode" in where)


def test_a_site_that_overlaps_one_of_the_adapter_is_seen():
    of_all = oligos(forbidden=["ACACA"], adapters={"five_prime": "GGACACA"})
    assert of_all.fault("GAGGTTG") is None
    assert of_all.fault("CAGGTTG") == "forbidden ACACA"
    assert oligos(forbidden=["ACACA"], adapters={"five_prime": "GACACACA"}).meant() == {"ACACA": 2}


def test_sites_of_the_shared_parts_are_meant():
    assert oligos(forbidden=["KpnI", "XbaI"]).fault("ACACACAGTGACTG") is None
    assert oligos(forbidden=["KpnI", "EcoRI"]).meant() == {"KpnI": 1, "EcoRI": 0}
    assert oligos(forbidden=["KpnI"]).fault("ACACAGGTACCGACTG") == "forbidden KpnI"


@pytest.mark.parametrize("most", [2, 3, 5])
def test_homopolymers_by_brute_force(most):
    """Maximal runs of the whole oligo that have a base of the insert."""
    of_all = oligos(max_homopolymer=most, adapters={"five_prime": "ACTTTTTT", "linker": "AAAC"})
    for insert in ["TGAC", "ACGA", "ACG", "AAAAAA", "TTTT", *random_sequences(60, 3, width=12)]:
        whole, place, bad = of_all.oligo(insert, ""), 0, False
        for _, run in itertools.groupby(whole):
            length = len(list(run))
            bad |= length > most and place < 8 + len(insert) and place + length > 8
            place += length
        assert (of_all.fault(insert) == "homopolymer") == bad, insert


def test_gc_is_that_of_the_whole_oligo():
    for insert, tag in zip(random_sequences(80, 4, width=30), random_sequences(80, 5, width=10), strict=True):
        whole = FIVE + insert + LINKER + tag + THREE
        share = sum(base in "GC" for base in whole) / len(whole)
        bounded = oligos(gc=[0.45, 0.55], barcodes=BARCODES)
        assert (bounded.fault(insert, tag) == "gc") == (not 0.45 <= share <= 0.55)
    assert oligos(gc=[0.0, 1.0], barcodes=BARCODES).fault("ACGT") is None


def test_letters_and_length():
    assert oligos().fault("ACGNACG") == "not a base"
    assert oligos().fault("") == "not a base"
    shared = len(FIVE + LINKER + THREE) + 10
    tight = oligos(longest=shared + 20, barcodes=BARCODES)
    assert tight.room == 20
    assert tight.fault("A" * 20) is None
    assert tight.fault("A" * 21) == "too long"


# Diversity.


def test_distance_is_the_share_of_words_not_shared():
    """Against words counted one by one, on both strands."""

    def words(sequence: str) -> dict[str, float]:
        both = [text[i : i + 5] for text in (sequence, complement(sequence)) for i in range(len(text) - 4)]
        return {word: both.count(word) / len(both) for word in both}

    sequences = random_sequences(6, 1, width=30) + random_sequences(3, 2, width=45)
    profiles = kmer_profiles(sequences)
    for i, one in enumerate(sequences):
        for j, other in enumerate(sequences):
            a, b = words(one), words(other)
            shared = sum(min(a.get(word, 0), b.get(word, 0)) for word in a)
            assert distances(profiles, profiles[i])[j] == pytest.approx(1 - shared, abs=1e-6)
    np.testing.assert_array_equal(profiles, kmer_profiles([complement(one) for one in sequences]))


def test_farthest_first_is_the_greedy_choice_and_within_a_factor_of_two_of_the_best():
    sequences = random_sequences(11, 7, width=25)
    sequences[4] = sequences[0]
    profiles = kmer_profiles(sequences, 2)
    matrix = np.array([distances(profiles, one) for one in profiles])
    chosen = [0]
    for _ in range(4):
        rest = [row for row in range(11) if row not in chosen]
        chosen.append(max(rest, key=lambda row: (min(matrix[row, done] for done in chosen), -row)))
    assert farthest_first(profiles, 5) == chosen

    def spread(rows):
        return min(matrix[a, b] for a, b in itertools.combinations(rows, 2))

    best = max(spread(rows) for rows in itertools.combinations(range(11), 5))
    assert spread(chosen) >= best / 2
    assert sorted(farthest_first(profiles, 11)) == list(range(11))
    with pytest.raises(ValueError, match="12 of 11"):
        farthest_first(profiles, 12)


def test_distance_to_the_nearest_other():
    profiles = kmer_profiles(random_sequences(7, 9, width=30), 3)
    matrix = np.array([distances(profiles, one) for one in profiles]) + np.diag([np.inf] * 7)
    np.testing.assert_allclose(to_nearest(profiles), matrix.min(axis=0))
    assert np.isnan(to_nearest(profiles[:1])).all()


# Barcodes.


@pytest.mark.parametrize(("length", "distance", "number"), [(7, 3, 60), (12, 4, 80), (10, 3, 150)])
def test_barcodes_keep_their_distance_and_are_sound(length, distance, number):
    shape = {"length": length, "per_sequence": 1, "distance": distance}
    of_all = oligos(barcodes=shape, forbidden=["BsaI", "AluI"], adapters={"linker": "GGTACCAG"})
    source = Barcodes(of_all, distance, 5)
    inserts = random_sequences(number, 3, width=20)
    inserts = [insert for insert in inserts if of_all.fault(insert) is None]
    made = [source.take(insert) for insert in inserts]
    assert len(made) > number / 2
    assert all(sum(map(str.__ne__, a, b)) >= distance for a, b in itertools.combinations(made, 2))
    for insert, barcode in zip(inserts, made, strict=True):
        assert len(barcode) == length
        assert 0.3 <= sum(base in "GC" for base in barcode) / length <= 0.7
        assert max(len(list(run)) for _, run in itertools.groupby(barcode)) <= 3
        assert "AGCT" not in "AG" + barcode + THREE
        assert of_all.fault(insert, barcode) is None
    again = Barcodes(of_all, distance, 5)
    assert made == [again.take(insert) for insert in inserts]
    assert made != [Barcodes(of_all, distance, 6).take(insert) for insert in inserts]


def test_a_barcode_that_fits_no_insert_here_is_kept_for_the_next():
    """GC of the whole oligo: an insert at the upper bound takes what is poor in GC, the other one the rest."""
    bare = {"five_prime": "", "linker": "", "three_prime": ""}
    of_all = oligos(barcodes=BARCODES, adapters=bare, gc=[0.5, 0.5])
    plain = Barcodes(oligos(barcodes=BARCODES, adapters=bare), 3, 1)
    words = [plain.take("ACGT") for _ in range(100)]
    source = Barcodes(of_all, 3, 1)
    taken = [source.take(insert) for insert in ["GGCAGCCTGT", "GATACATGAT", "GATACATGAT"]]
    of_gc = {n: [word for word in words if sum(base in "GC" for base in word) == n] for n in (3, 7)}
    assert taken == [of_gc[3][0], *of_gc[7][:2]]
    assert words.index(taken[1]) < words.index(taken[0])


def test_too_many_barcodes_are_refused_with_numbers():
    source = Barcodes(oligos(barcodes={**BARCODES, "length": 3}), 3, 1)
    with pytest.raises(UserError, match=r"No more than [1-4] barcodes of 3 bp that differ in 3 places fit"):
        list(map(source.take, ["ACGT"] * 5))


def test_barcodes_end_only_where_there_is_no_room_for_another():
    """Every word that fits is too near to one that was handed out: words that clash with the linker block nothing."""
    of_all = oligos(barcodes={**BARCODES, "length": 5}, adapters={"linker": "CTG"}, forbidden=["GA"])
    source, made = Barcodes(of_all, 3, 1), []
    with pytest.raises(UserError, match="No more than"):
        made.extend(map(source.take, itertools.repeat("CCGG")))
    for word in map("".join, itertools.product("ACGT", repeat=5)):
        gc = sum(base in "GC" for base in word) / 5
        if 0.3 <= gc <= 0.7 and not any(base * 4 in word for base in "ACGT") and of_all.fault("CCGG", word) is None:
            assert min(sum(map(str.__ne__, word, other)) for other in made) < 3
    assert len(made) > 3
    assert not any(word.startswith("A") for word in made)


def test_an_insert_that_no_barcode_fits_is_named():
    bare = {"five_prime": "", "linker": "", "three_prime": ""}
    source = Barcodes(oligos(barcodes=BARCODES, adapters=bare, gc=[0.5, 0.5]), 3, 1)
    with pytest.raises(UserError, match=r"None of 1000 barcodes fits the insert AATAATAATA \(they fail by: 1000 gc\)"):
        source.take("AATAATAATA")


# The choice.


def gc_activity(sequences: list[str], labels: list[str]) -> np.ndarray:
    """A guide that likes G in a and T in b, and knows no other label."""
    liked = {"a": "G", "b": "T"}
    return np.array(
        [s.count(liked[x]) / len(s) if x in liked else np.nan for s, x in zip(sequences, labels, strict=True)]
    )


def candidates(n: int = 40, seed: int = 1, labels=("a", "b"), width: int = 50) -> pd.DataFrame:
    """label by label n sequences, half of each run."""
    frames = [
        pd.DataFrame(
            {
                "run": [("m/x", "m/y")[i % 2] for i in range(n)],
                "name": [f"{label}_{i}" for i in range(n)],
                "label": label,
                "sequence": random_sequences(n, seed + 10 * number, width=width),
            }
        )
        for number, label in enumerate(labels)
    ]
    return pd.concat(frames, ignore_index=True)


def held_out(n: int = 30, width: int = 50) -> pd.DataFrame:
    frames = [
        pd.DataFrame({"label": label, "sequence": random_sequences(n, 70 + number, width=width)})
        for number, label in enumerate("ab")
    ]
    return check(windows(pd.concat(frames, ignore_index=True)), WINDOWS, "held out")


CONTROLLED = {"controls": {"shuffled": 4, "positive": 5, "background": 7}}
FILTERED = {"forbidden": ["BsaI", "GATC"], "max_homopolymer": 4, "gc": [0.3, 0.6]}


@pytest.fixture(scope="module")
def library():
    frame = candidates(100)
    frame.loc[3, "sequence"] = complement(frame.loc[2, "sequence"])
    frame.loc[105, "sequence"] = frame.loc[2, "sequence"].lower()
    return choose(frame, held_out(), settings(**CONTROLLED, **FILTERED), gc_activity, seed=3), frame


def test_the_chosen_are_the_greedy_choice_among_the_most_active_that_pass(library):
    made, frame = library
    rules = oligos(**FILTERED)
    seen, passing = set(), []
    for row in frame.itertuples():
        key = min(row.sequence.upper(), complement(row.sequence.upper()))
        if rules.fault(row.sequence.upper()) is None:
            passing += [row.Index] if key not in seen else []
            seen.add(key)
    for label in "ab":
        own = frame.loc[[row for row in passing if frame.loc[row, "label"] == label]]
        liked = {"a": "G", "b": "T"}[label]
        ranked = own.assign(sequence=own["sequence"].str.upper()).sort_values(
            "sequence", key=lambda column: -column.str.count(liked), kind="stable"
        )
        best = ranked.iloc[: max(6, -(-len(ranked) // 2))]
        profiles = kmer_profiles(best["sequence"].tolist())
        picked = farthest_first(profiles, 6)
        assert to_nearest(profiles[picked]).min() > to_nearest(profiles[:6]).min()
        expected = best.iloc[picked]
        chosen = made.inserts.query("category == 'design' and label == @label")
        assert chosen["insert"].tolist() == expected["sequence"].tolist()
        assert chosen["source"].tolist() == expected["name"].tolist()
        assert chosen["run"].tolist() == expected["run"].tolist()
        assert chosen["insert"].iloc[0] == ranked["sequence"].iloc[0]  # the most active is always one


def test_the_account_adds_up(library):
    made, frame = library
    account = made.account
    design = account[account["category"] == "design"].dropna(subset="run")
    for (label, run), part in design.groupby(["label", "run"]):
        counts = part.set_index("what")["sequences"]
        dropped = counts.drop(["candidates", "passed", "among the best", "chosen"])
        assert counts["candidates"] == ((frame["label"] == label) & (frame["run"] == run)).sum()
        assert counts["passed"] == counts["candidates"] - dropped.sum()
        assert counts["passed"] >= counts["among the best"] >= counts["chosen"]
        assert (dropped > 0).all()
        own = made.candidates.query("label == @label and run == @run")["outcome"].value_counts()
        assert dropped.to_dict() == own.drop(["passed", "among the best", "chosen"], errors="ignore").to_dict()
    assert design.query("what == 'chosen'").groupby("label")["sequences"].sum().to_dict() == {"a": 6, "b": 6}
    assert design.query("what == 'duplicate'").set_index("label")["sequences"].to_dict() == {"a": 1, "b": 1}
    for category, asked in CONTROLLED["controls"].items():
        part = account[account["category"] == category].pivot(index="label", columns="what", values="sequences")
        assert part["asked"].tolist() == part["chosen"].tolist() == [asked, asked]
    assert (
        made.candidates["activity"]
        .notna()
        .equals(made.candidates["outcome"].isin(["passed", "among the best", "chosen"]))
    )


def test_controls_are_counted_and_matched(library):
    made, _ = library
    inserts = made.inserts
    test = held_out()
    assert inserts.groupby(["label", "category"]).size().to_dict() == {
        (label, category): n for label in "ab" for category, n in {"design": 6, **CONTROLLED["controls"]}.items()
    }
    assert inserts["name"].is_unique
    assert inserts["insert"].is_unique
    of_name = inserts.set_index("name")
    for row in inserts.itertuples():
        if row.category == "shuffled":
            parent = of_name.loc[row.source]
            assert parent["category"] == "design"
        elif row.category in ("positive", "background"):
            parent = test.iloc[int(row.source.removeprefix("test_")) - 1]
        else:
            continue
        assert parent["label"] == row.label
        original = parent["insert" if row.category == "shuffled" else "sequence"]
        assert (row.insert == original) == (row.category == "positive")
        pairs = [sorted(a + b for a, b in itertools.pairwise(text)) for text in (row.insert, original)]
        assert pairs[0] == pairs[1]  # every dinucleotide, and so the length
    # Background is that of the positives, and of two further windows.
    for _, part in inserts.groupby("label"):
        positive, background = (part.loc[part["category"] == x, "source"].tolist() for x in ("positive", "background"))
        assert background[:5] == positive
        assert len(set(background)) == 7
    np.testing.assert_array_equal(
        inserts["activity"], gc_activity(inserts["insert"].tolist(), inserts["label"].tolist())
    )
    rules = oligos(**FILTERED)
    assert [rules.fault(insert) for insert in inserts["insert"]] == [None] * len(inserts)


def test_a_smaller_share_is_more_active_and_less_diverse():
    frame = candidates(120, labels=("a",))
    tight, loose = (choose(frame, held_out(), settings(top=top), gc_activity, seed=3).diversity for top in (0.06, 1.0))

    def mean(table, column, choice="chosen"):
        return table.loc[table["choice"] == choice, column].mean()

    assert mean(tight, "activity") > mean(loose, "activity") + 0.02
    assert mean(tight, "distance") < mean(loose, "distance")
    assert mean(loose, "distance") > mean(loose, "distance", "random")
    assert mean(loose, "distance") > mean(loose, "distance", "most active")
    activities = sorted(gc_activity(frame["sequence"], frame["label"]))
    assert mean(loose, "activity", "most active") == pytest.approx(np.mean(activities[-6:]))


def test_the_most_active_are_taken_where_they_are_as_far_apart():
    """Many of few: there the greedy choice is sometimes behind. Never is a choice worse in both."""
    taken = []
    for seed in range(12):
        made = choose(
            candidates(7, seed, ("a",), width=20), held_out(), settings(number=4, top=1.0), gc_activity, seed=3
        )
        smallest = made.diversity.groupby("choice")["distance"].min()
        mean = made.diversity.groupby("choice")["activity"].mean()
        assert smallest["chosen"] >= smallest["most active"]
        taken.append(mean["chosen"] == mean["most active"])
        assert taken[-1] or smallest["chosen"] > smallest["most active"]
    assert 0 < sum(taken) < 12


def test_the_same_twice_and_another_seed_changes_controls_alone(library):
    made, frame = library
    arguments = frame, held_out(), settings(**CONTROLLED, **FILTERED), gc_activity
    again = choose(*arguments, seed=3)
    for name in ("candidates", "inserts", "account", "diversity"):
        pd.testing.assert_frame_equal(getattr(made, name), getattr(again, name))
    other = choose(*arguments, seed=4).inserts
    same = made.inserts["insert"] == other["insert"]
    assert same[made.inserts["category"] == "design"].all()
    assert not same[made.inserts["category"] == "positive"].all()


def test_a_label_that_the_guide_does_not_know_is_left_out(caplog):
    made = choose(candidates(labels=("a", "z")), held_out(), settings(), gc_activity, seed=3)
    assert set(made.inserts["label"]) == {"a"}
    assert "label z is left out" in caplog.text
    assert (made.candidates.query("label == 'z'")["outcome"] == "unknown label").all()
    with pytest.raises(UserError, match="The guide knows none of the labels"):
        choose(candidates(labels=("z",)), held_out(), settings(), gc_activity, seed=3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"number": 41}, r"Of label a 41 sequences were asked for \(library.number\), and of 40 candidates 40 pass"),
        (
            {"longest": 91},
            r"label a has at least 92 nt \(5' adapter 15 \+ insert 50 \+ linker 12 \+ barcode 0 \+ 3' adapter 15\), "
            "and library.longest is 91: inserts may have 49 bp at most.*label b",
        ),
        ({"forbidden": ["N"]}, "of 40 candidates 0 pass .40 forbidden N"),
        ({"controls": {"positive": 31}}, "Of label a 31 positive controls were asked for, and 30 could be made"),
        ({"controls": {"shuffled": 7}}, "Of label a 7 shuffled controls were asked for, and 6 could be made"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_numbers(changes, said):
    with pytest.raises(UserError, match=said):
        choose(candidates(), held_out(), settings(**changes), gc_activity, seed=3)


def test_windows_too_long_for_a_control_are_told():
    with pytest.raises(
        UserError, match=r"0 could be made \(30 candidates, 30 too long \(an insert has 50 bp at most\)\)"
    ):
        choose(
            candidates(),
            held_out(width=60),
            settings(longest=92, controls={"positive": 1}),
            gc_activity,
            seed=3,
        )


def test_no_control_stands_there_already():
    """One window twice, once on each strand, and one that is a design."""
    test = held_out()
    design = choose(candidates(), test, settings(), gc_activity, seed=3).inserts["insert"].iloc[2]
    test.loc[4, "sequence"] = complement(test.loc[7, "sequence"])
    test.loc[9, "sequence"] = design
    made = choose(candidates(), test, settings(controls={"positive": 28}), gc_activity, seed=3)
    own = made.inserts.query("label == 'a'")
    assert own["insert"].map(lambda one: min(one, complement(one))).is_unique
    with pytest.raises(UserError, match="29 positive controls were asked for, and 28 could be made .*, 2 duplicate"):
        choose(candidates(), test, settings(controls={"positive": 29}), gc_activity, seed=3)


def test_long_candidates_are_a_filter_where_others_fit():
    frame = pd.concat([candidates(labels=("a",)), candidates(5, 99, ("a",), width=70).assign(run="long")])
    made = choose(frame, held_out(), settings(longest=92), gc_activity, seed=3)
    assert made.account.query("what == 'too long'")[["run", "sequences"]].values.tolist() == [["long", 5]]


def test_settings_that_will_not_do():
    with pytest.raises(UserError, match="library.forbidden names EcoR1, which is neither"):
        oligos(forbidden=["EcoR1"])
    with pytest.raises(UserError, match="library.gc is"):
        oligos(gc=[0.6, 0.4])
    with pytest.raises(UserError, match="linker and barcode have 52 nt .* library.longest is 50: no room is left"):
        oligos(longest=50, barcodes=BARCODES)


# The order.


def test_oligos_as_ordered(library, tmp_path):
    made, _ = library
    training = random_sequences(20, 5, width=50)
    training[4] = made.inserts["insert"].iloc[0]
    asked = settings(**CONTROLLED, **FILTERED, barcodes={**BARCODES, "length": 12, "per_sequence": 3})
    write_tsv(made.inserts, tmp_path / "inserts.tsv", INSERTS)
    table = pd.DataFrame({"label": "a", "sequence": training})
    write_parquet(check(windows(table), WINDOWS, "train"), tmp_path / "train.parquet", WINDOWS)
    for place in ("one", "two"):
        order_library(
            tmp_path / "inserts.tsv",
            tmp_path / "train.parquet",
            asked,
            seed=3,
            table=tmp_path / f"{place}.tsv",
            fasta=tmp_path / f"{place}.fasta",
        )
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "two.tsv").read_bytes()
    oligos_ = read_tsv(tmp_path / "one.tsv", OLIGOS)
    assert len(oligos_) == 3 * len(made.inserts)
    assert oligos_["name"].is_unique
    assert oligos_["barcode"].is_unique
    assert oligos_["name"].str.removesuffix("_b1").iloc[0] == made.inserts["name"].iloc[0]
    assert (oligos_["oligo"] == FIVE + oligos_["insert"] + LINKER + oligos_["barcode"] + THREE).all()
    assert (oligos_["length"] == 15 + 50 + 12 + 12 + 15).all()
    rules = Oligos.from_settings(asked)
    assert all(rules.fault(row.insert, row.barcode) is None for row in oligos_.itertuples())
    assert (oligos_["identity"].iloc[:3] == 1).all()
    assert oligos_["identity"].iloc[3:].max() < 0.8
    fasta = read_fasta(tmp_path / "one.fasta")
    assert fasta["name"].tolist() == oligos_["name"].tolist()
    assert fasta["sequence"].tolist() == oligos_["oligo"].tolist()
    assert fasta["description"].iloc[-1] == "category=background label=b"


def test_without_barcodes_there_is_one_oligo_each(library):
    made, _ = library
    table = as_oligos(made.inserts, random_sequences(20, 5), settings(), seed=3)
    assert table["barcode"].isna().all()
    assert (table["oligo"] == FIVE + table["insert"] + LINKER + THREE).all()
    assert table["name"].tolist() == made.inserts["name"].tolist()


# By the guide.


def network_folder(folder, name: str):
    torch.manual_seed(1)
    description = {"oracle": name, "labels": ["a", "b"], "settings": {"width": 8}, "temperature": 2.0}
    save_oracle(Oracle(["a", "b"], SequenceNetwork(3, 8).eval(), 2.0, description), folder)
    return folder


def test_the_guide_chooses_and_the_judge_may_not(tmp_path):
    for run, part in candidates(12).groupby("run"):
        frame = part.drop(columns="run").assign(seed=1, length=50, bits_per_base=2.0)
        write_parquet(frame, tmp_path / f"{run}.parquet", SEQUENCES)
    write_parquet(held_out(), tmp_path / "test.parquet", WINDOWS)
    out = {name: tmp_path / f"{name}.tsv" for name in ("candidates", "inserts", "account", "diversity")}
    runs = {run: tmp_path / f"{run}.parquet" for run in ("m/x", "m/y")}
    guide = network_folder(tmp_path / "guide", "guide")
    asked = settings(number=3, controls={"shuffled": 1, "positive": 2, "background": 1})
    choose_library(guide, runs, tmp_path / "test.parquet", asked, seed=3, **out)
    inserts = read_tsv(out["inserts"], INSERTS)
    assert len(inserts) == 2 * 7
    assert set(inserts["run"].dropna()) <= set(runs)
    log_p = load_oracle(guide).read(inserts["insert"].tolist())[0]
    own = log_p[np.arange(14), [["a", "b"].index(label) for label in inserts["label"]]]
    np.testing.assert_allclose(inserts["activity"], own - log_p[:, 2], atol=1e-5)
    listed = read_tsv(out["candidates"], CANDIDATES).set_index(["run", "name"])
    chosen = inserts.query("category == 'design'")
    assert set(listed.index[listed["outcome"] == "chosen"]) == set(zip(chosen["run"], chosen["source"], strict=True))
    read_tsv(out["account"], ACCOUNT)
    assert set(read_tsv(out["diversity"], DIVERSITY)["choice"]) == {"chosen", "most active", "random"}
    with pytest.raises(ValueError, match="only the guide may choose"):
        choose_library(network_folder(tmp_path / "judge", "judge"), runs, tmp_path / "t", asked, seed=3, **out)


# The figure and the config.


def texts(path) -> list[str]:
    return [node.text or "" for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_the_figure_says_what_was_chosen_from_what(library, tmp_path):
    made, _ = library
    for place in ("one.svg", "two.svg"):
        draw_library(made.candidates, made.inserts, made.diversity, tmp_path / place)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    said = texts(tmp_path / "one.svg")
    for words in ("a", "b", "candidates that pass the filters", "held-out real", "designs, shuffled", "designs"):
        assert words in said
    one = made.inserts.query("category == 'design' and label == 'a'").iloc[:1]
    draw_library(made.candidates, one, made.diversity.assign(distance=np.nan).iloc[:1], tmp_path / "one.svg")
    assert "held-out real" not in texts(tmp_path / "one.svg")


def config(library: dict, **changes) -> dict:
    plain = {
        "sequences": {"files": [{"source": "x.tsv"}]},
        "split": {"by": "fraction"},
        "models": {"m": {}},
        "samplers": {"x": {}, "y": {}},
        "external": {"theirs": {"source": "x.fa"}},
    }
    return load_config({**plain, "library": library, **changes}, [], SCHEMA)


def test_the_config_has_defaults_and_all_runs_are_candidates():
    filled = config({})
    assert filled["library"]["controls"] == {"shuffled": 20, "positive": 20, "background": 20}
    assert Oligos.from_settings(filled["library"]).room == 300
    assert library_runs(filled) == [("m", "x"), ("m", "y"), ("theirs", "external")]
    assert library_runs(config({"runs": {"m": ["y"], "theirs": ["external"]}})) == [("m", "y"), ("theirs", "external")]
    shape = {"barcodes": {"length": 10}}
    assert config(shape)["library"]["barcodes"] == {"length": 10, "per_sequence": 1, "distance": 3}


@pytest.mark.parametrize(
    ("library", "changes", "said"),
    [
        ({"runs": {"m": ["z"]}}, {}, "library.runs names m/z, which is no run. Did you mean m/y"),
        ({"runs": {"m": ["x", "x"]}}, {}, "library.runs.m names x twice"),
        ({"gc": [0.6, 0.4]}, {}, "library.gc is .0.6, 0.4.: its first number"),
        ({"number": 3}, {}, "library.controls.shuffled is 20, but each label has 3 designs"),
        ({"adapters": {"five_prime": "ACGN"}}, {}, "library.adapters.five_prime is 'ACGN', expected text"),
        ({}, {"evaluation": {"oracle": None}}, "library is given, but evaluation.oracle is null"),
    ],
)
def test_a_config_that_will_not_do(library, changes, said):
    with pytest.raises(UserError, match=said):
        config(library, **changes)
