"""The verdict: how a metric is graded, how metrics become one score, and the words for it."""

import pandas as pd
import pytest
import report_tables as made

from diffusion_bert.reporting import verdict

NEAREST = {"metric": "nearest_identity", "ceiling": 0.7, "best_floor": 0.5}


def _rows(**columns) -> pd.DataFrame:
    """A verdict table of one run and one metric, with these columns changed."""
    row = {
        "model": "m",
        "sampler": "s",
        "metric": "gc_wasserstein",
        "label": "all",
        "value": 0.1,
        "ceiling": 0.02,
        "best_floor": 0.3,
        "floor_name": "markov",
        "separates": "yes",
        "position": 0.714,
        "worse_than_ceiling": "no",
        "lstm": None,
        "beats_lstm": None,
        "rank": None,
    }
    return pd.DataFrame([row | columns])


@pytest.mark.parametrize(
    ("columns", "grade", "score"),
    [
        ({}, "between", 0.714),
        ({"position": 0.95}, "real", 0.95),
        ({"position": 1.4}, "real", 1.0),
        ({"position": 0.05}, "floor", 0.05),
        ({"position": -2.0}, "floor", 0.0),
        ({"separates": "no"}, "blind", None),
        ({"separates": "no", "worse_than_ceiling": "yes"}, "alarm", None),
        ({"position": None}, "blind", None),
        # Past a ceiling that should be met: as bad as falling short by as much, and said in other words.
        (NEAREST | {"value": 0.71, "position": 0.95}, "real", 0.95),
        (NEAREST | {"value": 0.82, "position": 0.4}, "beyond", 0.4),
        (NEAREST | {"value": 0.58, "position": 0.4}, "between", 0.4),
        (NEAREST | {"value": 1.00, "position": -0.5}, "beyond", 0.0),
    ],
)
def test_a_metric_is_graded_by_its_position(columns, grade, score):
    (one,) = verdict.judge(_rows(**columns))
    assert one.standings[0].grade == grade
    assert one.standings[0].score == (None if score is None else pytest.approx(score))


def test_each_question_has_one_vote():
    names = ["gc_sd", "motif_rate_pearson"] + [f"kmer_pearson_{k}" for k in (1, 2, 3, 4, 5, 6)]
    scores = [0.2, 0.4] + [0.9] * 6
    frame = pd.concat([_rows(metric=name, position=score) for name, score in zip(names, scores, strict=True)])
    (one,) = verdict.judge(frame)
    assert one.questions == {"composition": 0.2, "motifs": 0.4, "kmers": 0.9}
    assert one.score == 0.4


def test_labels_do_not_vote_and_the_best_run_comes_first():
    frame = pd.concat(
        [
            _rows(sampler="low", position=0.3),
            _rows(sampler="low", position=0.99, label="K562"),
            _rows(sampler="high", position=0.6),
            _rows(sampler="none", separates="no"),
        ]
    )
    assert [(one.sampler, one.score) for one in verdict.judge(frame)] == [("high", 0.6), ("low", 0.3), ("none", None)]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"position": 0.97}, "hard to tell from real sequences: they go 97 % of the way"),
        ({"position": 0.7}, "nearer to real sequences than to the floors, and not there yet: they go 70 %"),
        ({"position": 0.3}, "better than the floors, and far from real sequences: they go 30 %"),
        ({"position": 0.04}, "no better than the floors: they go 4.0 %"),
        ({"separates": "no"}, "No verdict on m / s: on these sequences no metric tells"),
    ],
)
def test_the_headline_says_how_good_in_words_with_numbers(columns, words):
    (one,) = verdict.judge(_rows(**columns))
    assert words in verdict.headline(one)


def test_points_name_what_is_good_what_is_not_and_what_says_nothing():
    frame = pd.concat(
        [
            _rows(metric="gc_sd", position=0.99),
            _rows(metric="motif_rate_pearson", position=0.02, value=0.5, ceiling=0.99, best_floor=0.49),
            _rows(**NEAREST, position=-2.0, value=1.3),
            _rows(metric="gc_mean", separates="no", worse_than_ceiling="yes", value=0.3),
            _rows(metric="kmer_js_divergence_6", separates="no"),
        ]
    )
    (one,) = verdict.judge(frame)
    said = {kind: items for kind, _, items in verdict.points(one)}
    assert said["good"] == ["Spread of GC: 0.1; real 0.02, best floor 0.3 (Markov chain): 99 % of the way"]
    assert "Motif rates, Pearson: 0.5; real 0.99, best floor 0.49 (Markov chain): 2.0 % of the way" in said["bad"]
    assert said["bad"][-1] == "GC content: 0.3; real 0.02: clearly worse than real sequences"
    assert any("past what real sequences do" in item for item in said["bad"])
    assert "6-mer Jensen-Shannon divergence: a floor does as well here" in said["blind"][0]
    assert "middling" not in said


def test_copies_are_warned_of_whatever_the_score():
    good = _rows(metric="gc_sd", position=0.99)
    copies = _rows(
        metric="exact_copies", value=0.3, ceiling=0.0, best_floor=0.0, separates="no", worse_than_ceiling="yes"
    )
    same = _rows(metric="unique", value=0.01, ceiling=1.0, best_floor=1.0, separates="no", worse_than_ceiling="yes")
    (one,) = verdict.judge(pd.concat([good, copies, same]))
    assert one.score == 0.99
    assert verdict.warning(one) == (
        "But beware of copies. Exact copies of training: 30 %, against 0 % in real sequences; distinct sequences: "
        "1.0 %, against 100 % in real sequences."
    )
    assert verdict.warning(verdict.judge(good)[0]) is None


def test_facts_tell_of_copies_and_of_the_markov_chain():
    frame = pd.concat([made.evaluation("novelty"), made.evaluation("likelihood")])
    (one,) = verdict.judge(_rows())
    copies, bits = verdict.facts(one, frame)
    assert copies.startswith("No generated sequence is a copy of a training sequence; ")
    assert bits == (
        "On held-out windows the model needs 1.905 bits a base, fewer than the best Markov chain's 1.917 (a uniform "
        "guess needs 2)."
    )
    paired = (frame["metric"] == "model_minus_markov") & (frame["set"] == "ceiling") & (frame["label"] == "all")
    assert paired.any()
    frame.loc[paired, ["ci_low", "ci_high"]] = [-0.015, 0.002]
    assert verdict.facts(one, frame)[1] == (
        f"{bits} That difference may be chance: its 95 % interval is -0.015 to +0.002."
    )
    frame.loc[(frame["metric"] == "exact_copies") & (frame["set"] == "generated"), "value"] = 0.25
    assert verdict.facts(one, frame)[0].startswith("25 % of the generated sequences are copies of a training sequence")
    assert verdict.facts(one, frame.iloc[:0]) == []


def _against_lstm(paired=(-0.02, -0.03, -0.01)) -> pd.DataFrame:
    """EVALUATION rows of held-out windows: bits a base under both, and their difference with its interval."""
    rows = [("model_bits_per_base", 1.86, None, None), ("lstm_bits_per_base", 1.88, None, None)]
    return pd.DataFrame(
        [
            {"metric": metric, "label": "all", "set": "ceiling", "value": value, "ci_low": low, "ci_high": high}
            for metric, value, low, high in [*rows, ("model_minus_lstm", *paired)]
        ]
    )


def test_the_lstm_is_beaten_or_it_is_said_that_it_is_not():
    won = [_rows(metric=name, lstm=0.2, beats_lstm="yes") for name in ("gc_sd", "gc_wasserstein")]
    lost = _rows(metric="motif_rate_pearson", lstm=0.9, beats_lstm="no")
    # Repeated metrics, metrics in which a party is the judge, and those that tell nothing apart.
    others = [
        _rows(metric="kmer_pearson_4", lstm=0.9, beats_lstm="no"),
        _rows(metric="lstm_bits_per_base", lstm=1.8),
        _rows(metric="model_minus_lstm", lstm=0.1),
        _rows(metric="cpg_oe", lstm=0.1),
    ]
    (one,) = verdict.judge(pd.concat([*won, lost, *others]))
    said, bits = verdict.against_lstm(one, _against_lstm())
    assert said == (
        "Against a small autoregressive LSTM trained on the same windows, m / s is better in 2 of 4 metrics and worse "
        "in 1; in the others the two cannot be told apart. It beats the LSTM. Better in: Spread of GC; GC distance. "
        "Worse in: Motif rates, Pearson."
    )
    assert bits == (
        "On held-out windows the model knows more than the LSTM: 1.860 bits a base against 1.880, "
        "a difference of -0.020 on the same windows (95 % interval -0.030 to -0.010)."
    )
    assert verdict.facts(one, _against_lstm())[:2] == [said, bits]
    assert not any(standing.metric == "model_minus_lstm" for standing in one.standings)

    (one,) = verdict.judge(pd.concat([won[0], lost, *others]))
    assert (
        "It does not beat the LSTM, and a generator that cannot has not earned its name."
        in verdict.against_lstm(one, _against_lstm())[0]
    )
    for paired, words in (((0.02, 0.01, 0.03), "knows less than"), ((0.0, -0.01, 0.01), "is not told apart from")):
        assert f"the model {words} the LSTM" in verdict.against_lstm(one, _against_lstm(paired))[1]
    # Of sequences made elsewhere there is no model that could be asked.
    assert len(verdict.against_lstm(one, _against_lstm().iloc[:0])) == 1


def test_without_an_lstm_nothing_is_said_of_it():
    (one,) = verdict.judge(_rows())
    assert verdict.against_lstm(one, _against_lstm()) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (0.12345, "0.123"),
        (1.9054, "1.905"),
        (12.34, "12.3"),
        (1234.5, "1,234"),
        (2e-5, "2.0e-05"),
    ],
)
def test_numbers_are_short(value, text):
    assert verdict.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.004, "0.40 %"), (0.042, "4.2 %"), (0.7149, "71 %"), (1, "100 %")]
)
def test_percentages_are_as_precise_as_they_are_small(share, text):
    assert verdict.percent(share) == text
