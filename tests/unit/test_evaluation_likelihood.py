"""Bits a base of the sets, from tables of scores."""

import numpy as np
import pytest
from evaluation_cases import as_sets, real, row, value

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.likelihood import MARKOV_SCORES, MODEL_SCORES, evaluate_likelihood, markov_scores
from diffusion_bert.evaluation.markov import MarkovChain
from diffusion_bert.tables import check


def scored(n: int = 40):
    sets = as_sets(generated=real(n, 1), ceiling=real(n, 2), reference=real(n, 3))
    markov = markov_scores(sets, MarkovChain.fit(sets["sequence"].tolist(), 1))
    noise = np.random.default_rng(1).normal(0, 0.001, len(sets))
    model = markov.assign(bits_per_base=markov["bits_per_base"] - 0.02 + noise, standard_error=0.01)
    return sets, check(model, MODEL_SCORES, "a test"), check(markov, MARKOV_SCORES, "a test")


def test_means_and_the_paired_difference():
    sets, model, markov = scored()
    evaluation, details = evaluate_likelihood(sets, model, markov, bootstrap=500, seed=1)
    held = (sets["set"] == "ceiling").to_numpy()
    assert value(evaluation, "model_bits_per_base", "ceiling") == pytest.approx(model["bits_per_base"][held].mean())
    assert value(evaluation, "markov_bits_per_base", "ceiling") == pytest.approx(markov["bits_per_base"][held].mean())
    paired = row(evaluation, "model_minus_markov", "ceiling")
    assert paired["value"] == pytest.approx(-0.02, abs=0.0005)
    assert paired["n"] == 80
    # The difference is known a hundred times better than either mean.
    assert paired["ci_high"] - paired["ci_low"] == pytest.approx(2 * 1.96 * 0.001 / 80**0.5, rel=0.25)
    alone = row(evaluation, "markov_bits_per_base", "ceiling")
    assert alone["ci_high"] - alone["ci_low"] > 10 * (paired["ci_high"] - paired["ci_low"])
    assert list(details["sequences"].columns) == [
        "set", "label", "name", "bits_per_base", "standard_error", "markov_bits_per_base",
    ]  # fmt: skip
    assert len(details["sequences"]) == len(sets)
    blood = (sets["label"] == "blood").to_numpy()
    assert value(evaluation, "model_bits_per_base", "ceiling", "blood") == pytest.approx(
        model["bits_per_base"][held & blood].mean()
    )


def test_scores_are_matched_by_name_not_by_order():
    sets, model, markov = scored(10)
    first, _ = evaluate_likelihood(sets, model, markov, bootstrap=20, seed=1)
    shuffled = model.sample(frac=1, random_state=1), markov.sample(frac=1, random_state=2)
    assert evaluate_likelihood(sets, *shuffled, bootstrap=20, seed=1)[0].equals(first)


def test_a_sequence_without_a_score_is_said_and_the_reference_needs_none():
    sets, model, markov = scored(5)
    model = model[model["set"] != "reference"].iloc[1:]
    evaluation, _ = evaluate_likelihood(sets, model, markov, bootstrap=20, seed=1)
    missing = row(evaluation, "model_bits_per_base", "generated")
    assert np.isnan(missing["value"])
    assert missing["note"] == "1 of 10 sequences have no score"
    assert value(evaluation, "markov_bits_per_base", "generated") > 1.5


def test_two_scores_of_one_sequence_are_refused():
    sets, model, markov = scored(3)
    with pytest.raises(UserError, match="sequence generated_1 of generated has two scores. Score every sequence"):
        evaluate_likelihood(sets, model.iloc[[0, *range(len(model))]], markov, bootstrap=20, seed=1)


def test_with_an_lstm_its_bits_and_the_paired_difference_are_there_too():
    sets, model, markov = scored()
    lstm = markov.assign(bits_per_base=model["bits_per_base"] + 0.05)
    alone, _ = evaluate_likelihood(sets, model, markov, bootstrap=100, seed=1)
    evaluation, details = evaluate_likelihood(
        sets, model, markov, lstm.sample(frac=1, random_state=1), bootstrap=100, seed=1
    )
    held = (sets["set"] == "ceiling").to_numpy()
    assert value(evaluation, "lstm_bits_per_base", "ceiling") == pytest.approx(lstm["bits_per_base"][held].mean())
    paired = row(evaluation, "model_minus_lstm", "ceiling")
    assert [paired[name] for name in ("value", "ci_low", "ci_high")] == pytest.approx([-0.05] * 3)
    assert details["sequences"]["lstm_bits_per_base"].tolist() == lstm["bits_per_base"].tolist()
    others = ~evaluation["metric"].isin(["lstm_bits_per_base", "model_minus_lstm"])
    assert evaluation[others].reset_index(drop=True).equals(alone)
    # Of sequences made elsewhere no model here can tell: the others still can.
    evaluation, _ = evaluate_likelihood(sets, model.iloc[:0], markov, lstm, bootstrap=100, seed=1)
    assert row(evaluation, "model_minus_lstm", "generated")["note"] == "80 of 80 sequences have no score"
    assert value(evaluation, "lstm_bits_per_base", "ceiling") == pytest.approx(lstm["bits_per_base"][held].mean())
    with pytest.raises(UserError, match="sequence generated_1 of generated has two scores"):
        evaluate_likelihood(sets, model, markov, lstm.iloc[[0, *range(len(lstm))]], bootstrap=20, seed=1)
