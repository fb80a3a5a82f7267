"""The LSTM: its probabilities are exact, its samples follow them, and it is no floor."""

import itertools
import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_cases import as_sets, complement, random_sequences, windows
from scipy.stats import chisquare
from torch import nn

from diffusion_bert.baseline.folder import generate_lstm, load_lstm, save_lstm, score_sets_lstm
from diffusion_bert.baseline.lstm import LabelledLSTM, parameters_of, width_for
from diffusion_bert.baseline.train import train_lstm
from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.comparison import compare
from diffusion_bert.evaluation.rows import Rows
from diffusion_bert.evaluation.sets import SETS
from diffusion_bert.tables import (
    LSTM_SCORES,
    SEQUENCES,
    TRAINING,
    WINDOWS,
    empty,
    read_parquet,
    read_tsv,
    write_parquet,
)
from diffusion_bert.training.resume import StoppedError

LABELS = ["blood", "gut"]


def network(width: int = 6, shares=(0.3, 0.7), gain: float = 4.0) -> LabelledLSTM:
    """A network with random weights, large enough that its probabilities are far from even."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = LabelledLSTM(LABELS, width, shares)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(gain)
    return made


def all_of(length: int) -> list[str]:
    return ["".join(letters) for letters in itertools.product("ACGT", repeat=length)]


def by_hand(made: LabelledLSTM, sequence: str, label: str) -> float:
    """log2 p from the gates of Hochreiter and Schmidhuber in float64, base by base."""
    weights = {name: tensor.detach().double() for name, tensor in made.state_dict().items()}
    hidden, cell = [torch.zeros(made.width).double()] * 2, [torch.zeros(made.width).double()] * 2
    before, total = 5, 0.0
    for letter in sequence:
        x = weights["base.weight"][before] + weights["label.weight"][made.labels.index(label)]
        for layer in (0, 1):
            gates = sum(
                weights[f"layers.weight_{kind}_l{layer}"] @ seen + weights[f"layers.bias_{kind}_l{layer}"]
                for kind, seen in (("ih", x), ("hh", hidden[layer]))
            )
            into, forget, what, out = gates.chunk(4)
            cell[layer] = forget.sigmoid() * cell[layer] + into.sigmoid() * what.tanh()
            x = hidden[layer] = out.sigmoid() * cell[layer].tanh()
        log_p = torch.log_softmax(weights["head.weight"] @ x + weights["head.bias"], 0)
        before = "ACGTN".index(letter)
        total += float(log_p[before]) / np.log(2) if letter != "N" else 0.0
    return total


@pytest.mark.parametrize("label", [*LABELS, None, "unheard of"])
def test_probabilities_of_all_sequences_of_a_length_sum_to_one(label):
    sequences = all_of(5)
    log2_p = network().log2_p(sequences, [label] * len(sequences))
    assert log2_p.std() > 1
    assert (2**log2_p).sum() == pytest.approx(1, abs=1e-6)


def test_probabilities_are_those_of_the_gates_by_hand():
    made = network()
    sequences = ["ACGTTGCA", "A", "GGNCA", "TTTTTTTTTTTTTTTTTTTT"]
    for label in LABELS:
        expected = [by_hand(made, sequence, label) for sequence in sequences]
        np.testing.assert_allclose(made.log2_p(sequences, [label] * 4), expected, atol=1e-4)
    found = made.bits_per_base(sequences, ["gut"] * 4)
    np.testing.assert_allclose(found, -np.array(expected) / [8, 1, 4, 20], atol=1e-4)
    assert np.isnan(made.bits_per_base(["", "NN"], LABELS)).all()


def test_without_a_known_label_it_is_the_mixture_of_all():
    made, sequences = network(), all_of(3)
    own = [2 ** made.log2_p(sequences, [label] * len(sequences)) for label in LABELS]
    mixed = 2 ** made.log2_p(sequences, [None] * len(sequences))
    np.testing.assert_allclose(mixed, 0.3 * own[0] + 0.7 * own[1], rtol=1e-4)


def test_a_sequence_scores_the_same_in_any_company(monkeypatch):
    made = network(width=20)
    sequences = [sequence[: 3 + row] for row, sequence in enumerate(random_sequences(40, 1))]
    labels = [LABELS[row % 2] for row in range(40)]
    together = made.log2_p(sequences, labels)
    alone = [made.log2_p([sequence], [label])[0] for sequence, label in zip(sequences, labels, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-4)
    monkeypatch.setattr("diffusion_bert.baseline.lstm._LETTERS_A_PASS", 50)
    np.testing.assert_allclose(made.log2_p(sequences, labels), together, atol=1e-4)
    assert len(made.log2_p([], [])) == 0


@pytest.mark.parametrize("label", LABELS)
def test_samples_follow_the_exact_probabilities(label):
    made, sequences = network(gain=2.0), all_of(3)
    p = 2 ** made.log2_p(sequences, [label] * len(sequences))
    drawn = made.sample([3] * 20000, [label] * 20000, seed=3)
    counts = pd.Series(drawn).value_counts().reindex(sequences, fill_value=0).to_numpy()
    assert counts.sum() == 20000
    assert (20000 * p).min() > 5  # else the test of fit does not hold
    assert chisquare(counts, 20000 * p / p.sum()).pvalue > 0.001
    assert chisquare(counts, np.full(64, 20000 / 64)).pvalue < 1e-6


def test_samples_are_as_long_as_asked_and_depend_on_the_seed_alone(monkeypatch):
    made, lengths = network(), [4, 0, 9, 9, 1]
    labels = ["gut", "blood", "gut", "gut", "blood"]
    drawn = made.sample(lengths, labels, seed=5)
    assert [len(sequence) for sequence in drawn] == lengths
    assert set("".join(drawn)) <= set("ACGT")
    assert drawn[2] != drawn[3]
    assert made.sample(lengths, labels, seed=5) == drawn != made.sample(lengths, labels, seed=6)
    monkeypatch.setattr("diffusion_bert.baseline.lstm._ROWS_A_STEP", 2)
    assert made.sample(lengths, labels, seed=5) == drawn
    assert made.sample([], [], seed=5) == []


@pytest.mark.parametrize("labels", [1, 3, 100])
@pytest.mark.parametrize("parameters", [4000, 60_000, 700_000])
def test_the_widest_network_within_the_parameters(parameters, labels):
    width = width_for(parameters, labels)
    names = [str(number) for number in range(labels)]
    counts = [sum(map(torch.numel, LabelledLSTM(names, w).parameters())) for w in (width, width + 1)]
    assert counts[0] <= parameters < counts[1]
    assert counts == [parameters_of(width, labels), parameters_of(width + 1, labels)]


def test_what_cannot_be_is_refused():
    with pytest.raises(
        UserError, match=r"evaluation.lstm.parameters is 300, but the smallest LSTM for 2 labels has \d+"
    ):
        width_for(300, 2)
    with pytest.raises(UserError, match="not trained on the label skin; it knows blood, gut"):
        network().sample([3], ["skin"], seed=1)
    with pytest.raises(ValueError, match="2 lengths for 1 labels"):
        network().sample([3, 3], ["gut"], seed=1)
    with pytest.raises(ValueError, match="none may be below 0"):
        network().sample([-1], ["gut"], seed=1)
    with pytest.raises(ValueError, match="1 sequences, but 2 labels"):
        network().log2_p(["A"], LABELS)
    for labels, width, shares in (([], 4, None), (["a", "a"], 4, None), (["a"], 0, None), (["a", "b"], 4, [1.0, 0.0])):
        with pytest.raises(ValueError, match="must be"):
            LabelledLSTM(labels, width, shares)


def learnable(n: int, seed: int) -> pd.DataFrame:
    """WINDOWS of 12 bp whose label says which of two words they repeat, on a random strand, at a random phase."""
    draw, rows = np.random.default_rng(seed), []
    for row in range(n):
        label = LABELS[row % 2]
        start = int(draw.integers(0, 4))
        sequence = ({"blood": "AACG", "gut": "CTTA"}[label] * 4)[start : start + 12]
        rows.append({"label": label, "sequence": sequence if draw.random() < 0.5 else complement(sequence)})
    return windows(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lstm")
    write_parquet(learnable(200, 1), folder / "train.parquet", WINDOWS)
    write_parquet(learnable(60, 2), folder / "validation.parquet", WINDOWS)
    return folder, train(folder, folder / "lstm")


def train(folder, into, **changes):
    """Train with a learning rate at which little is learned fast."""
    settings = {"epochs": 12, "parameters": 10000, "seed": 7} | changes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("diffusion_bert.baseline.train.LEARNING_RATE", 0.03)
        return train_lstm(folder / "train.parquet", folder / "validation.parquet", folder=into, **settings)


def test_it_learns_what_there_is_to_learn(trained):
    folder, curve = trained
    assert read_tsv(folder / "lstm/training.tsv", TRAINING).equals(curve)
    assert curve["step"].tolist()[-1] == int(np.ceil(12 * 200 / 32))
    assert curve["validation_bits_per_base"].iloc[0] > 1.0
    # Strand and phase: 3 bits for 12 bases.
    assert 3 / 12 - 0.01 < curve["validation_bits_per_base"].min() < 0.35
    made = load_lstm(folder / "lstm")
    held = read_parquet(folder / "validation.parquet", WINDOWS)
    bits = made.bits_per_base(held["sequence"].tolist(), held["label"].tolist())
    assert bits.mean() == pytest.approx(curve["validation_bits_per_base"].min(), abs=1e-5)
    swapped = made.bits_per_base(
        held["sequence"].tolist(), held["label"].map({"gut": "blood", "blood": "gut"}).tolist()
    )
    assert swapped.mean() > bits.mean() + 0.5
    content = json.loads((folder / "lstm/lstm.json").read_text())
    assert content["labels"] == LABELS
    assert content["parameters"] <= 10000
    assert content["validation_bits_per_base"] == curve["validation_bits_per_base"].min()


def test_windows_of_unknown_strand_are_read_on_both_and_others_are_not(tmp_path):
    frame = windows(pd.DataFrame({"label": ["blood"] * 128, "sequence": ["AAAAACCCCC"] * 128}))
    found = {}
    for strand in (".", "+"):
        write_parquet(frame.assign(strand=strand), tmp_path / "train.parquet", WINDOWS)
        write_parquet(frame.assign(strand=strand), tmp_path / "validation.parquet", WINDOWS)
        train(tmp_path, tmp_path / strand, epochs=20)
        found[strand] = load_lstm(tmp_path / strand).bits_per_base(
            ["AAAAACCCCC", complement("AAAAACCCCC")], ["blood"] * 2
        )
    assert found["+"][0] < 0.1
    assert found["+"][1] > 1
    assert abs(found["."] - 0.1).max() < 0.1  # one bit, the strand, for ten bases


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(trained, tmp_path):
    folder, _ = trained
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        before = torch.random.get_rng_state()
        train(folder, tmp_path / name, epochs=1, seed=seed)
        assert torch.equal(torch.random.get_rng_state(), before)
    files = ("model.safetensors", "lstm.json", "training.tsv")
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
    assert (tmp_path / "a" / files[0]).read_bytes() != (tmp_path / "c" / files[0]).read_bytes()
    assert {path.name for path in (tmp_path / "a").iterdir()} == set(files)


def test_it_trains_in_what_the_processor_multiplies_in(trained, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    for name in ("bfloat16", "float32"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=name: {"avx512_bf16": name == "bfloat16"})
        train(trained[0], tmp_path / name, epochs=1)
        assert f"on cpu in {name}, " in caplog.text
        assert {x.dtype for x in load_lstm(tmp_path / name).state_dict().values()} == {torch.float32}
    half, full = (json.loads((tmp_path / name / "lstm.json").read_text()) for name in ("bfloat16", "float32"))
    assert half["validation_bits_per_base"] != full["validation_bits_per_base"]
    assert half["validation_bits_per_base"] == pytest.approx(full["validation_bits_per_base"], rel=0.02)


# An epoch is six steps: just before its checkpoint, just after it, and long after.
@pytest.mark.parametrize("step", [5, 7, 17])
@pytest.mark.parametrize("how", ["killed", "asked to stop"])
def test_a_training_that_was_cut_short_goes_on_to_the_same_bytes(trained, tmp_path, caplog, step, how):
    folder, state = trained[0], tmp_path / "state"
    caplog.set_level("INFO")

    def cut(done, _):
        if done == step and how == "killed":
            raise MemoryError
        if done == step:
            os.kill(os.getpid(), signal.SIGTERM)

    train(folder, tmp_path / "whole", epochs=4)
    with pytest.raises(MemoryError if how == "killed" else StoppedError):
        train(folder, tmp_path / "cut", epochs=4, checkpoint_folder=state, progress=cut)
    assert not (tmp_path / "cut").exists()
    train(folder, tmp_path / "cut", epochs=4, checkpoint_folder=state)
    kept = step if how == "asked to stop" else step // 6 * 6
    assert (f"going on after step {kept}" in caplog.text) == (kept > 0)
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "cut" / file.name).read_bytes() == file.read_bytes(), file.name
    assert list(state.glob("*")) == []


def test_the_best_weights_are_kept_over_a_kill(trained, tmp_path):
    """Validation windows that are nothing like training: what is learned makes it worse, so the first epoch is best."""
    folder, state = tmp_path / "data", tmp_path / "state"
    write_parquet(read_parquet(trained[0] / "train.parquet", WINDOWS), folder / "train.parquet", WINDOWS)
    unlike = pd.DataFrame({"label": ["gut"] * 40, "sequence": ["GGTGCCGTGTGG"] * 40})
    write_parquet(windows(unlike), folder / "validation.parquet", WINDOWS)

    def cut(done, _):
        if done == 17:
            raise MemoryError

    curve = train(folder, tmp_path / "whole", epochs=4)
    assert curve["validation_bits_per_base"].idxmin() == 0
    with pytest.raises(MemoryError):
        train(folder, tmp_path / "cut", epochs=4, checkpoint_folder=state, progress=cut)
    train(folder, tmp_path / "cut", epochs=4, checkpoint_folder=state)
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "cut" / file.name).read_bytes() == file.read_bytes(), file.name


def test_no_training_goes_on_from_another_ones_checkpoint(trained, tmp_path, caplog):
    folder, state = trained[0], tmp_path / "state"
    caplog.set_level("INFO")

    def cut(done, _):
        if done == 8:
            raise MemoryError

    with pytest.raises(MemoryError):
        train(folder, tmp_path / "cut", epochs=4, checkpoint_folder=state, progress=cut)
    train(folder, tmp_path / "other", epochs=4, seed=8, checkpoint_folder=state)
    assert "is of another run (seed), so training starts anew" in caplog.text
    train(folder, tmp_path / "whole", epochs=4, seed=8)
    assert (tmp_path / "other/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


@pytest.mark.parametrize("what", ["train", "validation"])
def test_tables_without_a_known_base_are_refused(trained, tmp_path, what):
    folder, _ = trained
    for name in ("train", "validation"):
        write_parquet(read_parquet(folder / f"{name}.parquet", WINDOWS), tmp_path / f"{name}.parquet", WINDOWS)
    unknown = windows(pd.DataFrame({"label": ["gut"], "sequence": ["NNNN"]}))
    for bad in (empty(WINDOWS), unknown):
        write_parquet(bad, tmp_path / f"{what}.parquet", WINDOWS)
        with pytest.raises(UserError, match=f"{what}.parquet: there is no window with a known base in it"):
            train(tmp_path, tmp_path / "lstm")
    with pytest.raises(ValueError, match="epochs must be above 0"):
        train(folder, tmp_path / "lstm", epochs=0)


def test_files_that_are_missing_or_damaged_are_refused(trained, tmp_path):
    folder, curve = trained
    made = load_lstm(folder / "lstm")
    for name, damage, message in (
        ("model.safetensors", None, "model.safetensors: the file is missing"),
        ("lstm.json", None, "lstm.json: the file is missing"),
        ("lstm.json", "{}", "has no 'weights_sha256'"),
        ("lstm.json", "{", "Run train_lstm|run train_lstm"),
        ("model.safetensors", "x", "digests differ"),
    ):
        save_lstm(tmp_path, made, {}, curve)
        assert torch.equal(load_lstm(tmp_path).head.weight, made.head.weight)
        (tmp_path / name).unlink() if damage is None else (tmp_path / name).write_text(damage)
        with pytest.raises(UserError, match=message):
            load_lstm(tmp_path)


def test_files_of_sequences_and_scores(trained, tmp_path):
    folder, _ = trained
    generate_lstm(folder / "lstm", folder / "validation.parquet", seed=1, destination=tmp_path / "lstm.parquet")
    held = read_parquet(folder / "validation.parquet", WINDOWS)
    drawn = read_parquet(tmp_path / "lstm.parquet", SEQUENCES)
    assert drawn["label"].tolist() == held["label"].tolist()
    assert drawn["length"].tolist() == drawn["sequence"].str.len().tolist() == [12] * 60
    # It has learned the words: most of what it draws is one of the eight that there are, by label.
    words = held.groupby("label")["sequence"].agg(set)
    assert np.mean([row.sequence in words[row.label] for row in drawn.itertuples()]) > 0.5
    sets = as_sets(generated=drawn, ceiling=held, reference=held)
    write_parquet(sets, tmp_path / "sets.parquet", SETS)
    score_sets_lstm(folder / "lstm", tmp_path / "sets.parquet", destination=tmp_path / "scores.parquet")
    scores = read_parquet(tmp_path / "scores.parquet", LSTM_SCORES)
    assert scores[["set", "name"]].equals(sets[["set", "name"]])
    np.testing.assert_allclose(
        scores.loc[scores["set"] == "generated", "bits_per_base"], drawn["bits_per_base"], atol=1e-5
    )
    assert not any(isinstance(module, nn.Dropout) for module in load_lstm(folder / "lstm").modules())


def stand(metric: str, values: dict[str, float], half_width: float | None = 0.01) -> pd.Series:
    rows = Rows()
    for name, value in values.items():
        rows.add(metric, "all", name, value, None, 100)
    frame = rows.frame()
    if half_width is not None:
        frame["ci_low"], frame["ci_high"] = frame["value"] - half_width, frame["value"] + half_width
    (_, verdict) = compare({("m", "s"): frame})
    return verdict.iloc[0]


def test_a_peer_is_no_floor():
    values = {"generated": 0.2, "ceiling": 0.1, "markov": 0.5}
    alone, beside = stand("gc_wasserstein", values), stand("gc_wasserstein", {**values, "lstm": 0.12})
    same = [name for name in alone.index if name not in ("lstm", "beats_lstm")]
    assert alone[same].equals(beside[same])
    assert (beside["floor_name"], beside["separates"], beside["lstm"]) == ("markov", "yes", 0.12)
    assert pd.isna(alone["lstm"])
    assert pd.isna(alone["beats_lstm"])
    only = stand("gc_wasserstein", {"generated": 0.2, "ceiling": 0.1, "lstm": 0.5})
    assert (only["note"], only["separates"], only["beats_lstm"]) == ("not available for any floor", "no", "yes")


@pytest.mark.parametrize(
    ("metric", "generated", "lstm", "beats"),
    [
        ("gc_wasserstein", 0.10, 0.15, "yes"),
        ("gc_wasserstein", 0.15, 0.10, "no"),
        ("gc_wasserstein", 0.10, 0.11, None),
        ("motif_rate_pearson", 0.9, 0.8, "yes"),
        ("motif_rate_pearson", 0.8, 0.9, "no"),
        ("motif_rate_pearson", 0.8, 0.81, None),
        # As the ceiling, 0.5: the distance decides, on either side of it.
        ("gc_mean", 0.52, 0.45, "yes"),
        ("gc_mean", 0.55, 0.48, "no"),
        ("gc_mean", 0.55, 0.45, None),
        ("gc_mean", 0.60, 0.65, "yes"),
        # A party is no judge.
        ("lstm_bits_per_base", 1.8, 1.6, None),
        ("model_bits_per_base", 1.8, 1.6, None),
        ("model_minus_markov", -0.3, 0.3, None),
        ("markov_bits_per_base", 0.5, 1.6, "yes"),
    ],
)
def test_the_peer_is_beaten_where_the_intervals_part(metric, generated, lstm, beats):
    found = stand(metric, {"generated": generated, "ceiling": 0.5, "markov": 0.2, "lstm": lstm})["beats_lstm"]
    assert found == beats if beats else pd.isna(found)


def test_without_intervals_nobody_is_beaten():
    assert pd.isna(stand("gc_wasserstein", {"generated": 0.1, "ceiling": 0.0, "lstm": 0.9}, None)["beats_lstm"])


def test_a_difference_of_two_models_ranks_no_sequences():
    found = stand("model_minus_lstm", {"generated": -0.3, "ceiling": 0.1, "markov": 0.5, "lstm": 0.4})
    assert (found["separates"], found["value"], found["lstm"]) == ("no", -0.3, 0.4)
    assert found["note"] == "it compares two models and ranks no sequences"
    assert pd.isna(found["position"])
