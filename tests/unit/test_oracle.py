"""The oracles: the network, its training, the halves, their files and what they say; numbers against scikit-learn."""

import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from evaluation_cases import as_sets, complement, one_label, planted, random_sequences, real, row, value, windows
from scipy.optimize import minimize_scalar
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.discrimination import evaluate_discrimination
from diffusion_bert.oracle.discriminate import FOLDS, discriminate
from diffusion_bert.oracle.fit import Examples, class_weights, fit, weighted_cross_entropy
from diffusion_bert.oracle.folder import Oracle, activity, load_oracle, save_oracle
from diffusion_bert.oracle.network import EMBEDDING, SequenceNetwork, Strands, log_softmax
from diffusion_bert.oracle.oracle import FEWEST, evaluate_oracle, halves, judge_sets, train_oracle
from diffusion_bert.oracle.performance import auroc, average_precision, calibration_error, performance, temperature
from diffusion_bert.reproducible import reproducible
from diffusion_bert.tables import JUDGEMENTS, ORACLE_PERFORMANCE, read_parquet, read_tsv, write_parquet
from diffusion_bert.tables import WINDOWS as WINDOWS_COLUMNS

SETTINGS = {"epochs": 10, "width": 32}
SEED = 1


def network(classes: int = 3, width: int = 8) -> SequenceNetwork:
    torch.manual_seed(3)
    return SequenceNetwork(classes, width).eval()


# The network.


def test_a_sequence_and_its_reverse_complement_are_one():
    sequences = random_sequences(5, 1, width=61)
    one, other = (network().read(Strands.of(texts))[0] for texts in (sequences, [complement(s) for s in sequences]))
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert np.ptp(one, axis=0).min() > 1e-4  # and not because all sequences are


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 18, 19, 20, 33])
def test_padding_counts_for_nothing(length):
    """Alone or beside a sequence of 90 bp: the same numbers, whatever the rest of its last place."""
    text = random_sequences(1, length, width=length)[0]
    alone = network().read(Strands.of([text]))
    beside = network().read(Strands.of([text, *random_sequences(2, 9, width=90)]))
    for own, padded in zip(alone, beside, strict=True):
        np.testing.assert_allclose(own[0], padded[0], atol=1e-5)


def test_the_first_layer_is_a_convolution():
    """Against torch's own Conv1d with the same weights, padded sequences too."""
    net = network(width=5)
    strands = Strands.of(random_sequences(2, 1, width=40) + random_sequences(1, 2, width=23))
    conv = torch.nn.Conv1d(4, 5, 19, padding=9)
    conv.weight.data = net.motifs.weight.data.reshape(5, 19, 4).transpose(1, 2)
    conv.bias.data = net.motifs.bias.data
    onehot = torch.nn.functional.one_hot(strands.codes[:, 0].long(), 5)[..., :4].float().transpose(1, 2)
    seen = {}
    net.norms[0].register_forward_hook(lambda _, inputs, __: seen.update(found=inputs[0].clone()))
    with torch.no_grad():
        net.embed(strands.codes[:, 0], strands.lengths)
        expected = torch.relu(conv(onehot))
    expected[2, :, 23:] = 0
    expected = expected.reshape(3, 5, 10, 4).amax(3).transpose(1, 2)
    torch.testing.assert_close(seen["found"], expected, atol=1e-5, rtol=1e-4)


def test_unknown_letters_are_no_base():
    with_n = network().read(Strands.of(["ACGTNNNNACGT" * 3]))[0]
    assert np.isfinite(with_n).all()
    assert not np.allclose(with_n, network().read(Strands.of(["ACGTAAAAACGT" * 3]))[0])


def test_reading_does_not_hang_on_the_batch_or_the_mode(monkeypatch):
    net = network()
    sequences = random_sequences(7, 1) + random_sequences(3, 2, width=31)
    expected = net.read(Strands.of(sequences))
    monkeypatch.setattr("diffusion_bert.oracle.network._LETTERS_A_PASS", 200)
    net.train()
    for own, other in zip(expected, net.read(Strands.of(sequences)), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)
    assert net.training
    assert expected[1].shape == (10, EMBEDDING)


# Training.


def examples(n: int, seed: int) -> Examples:
    sequences = planted(n, seed, "blood", rate=1.0) + random_sequences(n, seed + 50)
    return Examples(Strands.of(sequences), torch.arange(2).repeat_interleave(n))


@pytest.fixture(scope="module")
def fitted():
    with reproducible(1):
        return fit(examples(150, 1), examples(60, 2), 2, width=32, epochs=12, seed=1)


def test_a_planted_motif_is_learned(fitted):
    held = examples(80, 3)
    logits = fitted.network.read(held.strands)[0]
    assert roc_auc_score(held.classes.numpy(), logits[:, 1] - logits[:, 0]) > 0.9


def test_the_best_epoch_is_kept(fitted, caplog):
    held = examples(60, 2)
    assert weighted_cross_entropy(fitted.network.read(held.strands)[0], held.classes.numpy()) == fitted.validation
    with caplog.at_level(logging.INFO), reproducible(1):
        again = fit(examples(150, 1), held, 2, width=32, epochs=12, seed=1)
    said = [float(line.split("validation ")[1].split()[0]) for line in caplog.messages if line.startswith("epoch")]
    assert said[again.epoch - 1] == min(said) == pytest.approx(again.validation, abs=1e-4)
    assert "ends about" in caplog.messages[0]


def test_the_same_seed_gives_the_same_weights_and_another_others(fitted):
    with reproducible(1):
        torch.rand(7)  # what was drawn before does not matter
        one = fit(examples(150, 1), examples(60, 2), 2, width=32, epochs=12, seed=1)
        other = fit(examples(150, 1), examples(60, 2), 2, width=32, epochs=1, seed=2)
    for name, tensor in fitted.network.state_dict().items():
        assert torch.equal(tensor, one.network.state_dict()[name]), name
    assert not torch.equal(other.network.head.weight, one.network.head.weight)


def test_training_stops_when_nothing_gets_better(caplog):
    """Random sequences of random classes: there is nothing to learn."""
    train = Examples(Strands.of(random_sequences(200, 1)), torch.arange(2).repeat(100))
    validation = Examples(Strands.of(random_sequences(60, 2)), torch.arange(2).repeat(30))
    with caplog.at_level(logging.INFO), reproducible(1):
        fit(train, validation, 2, width=32, epochs=12, seed=1)
    assert "training stops" in caplog.text
    assert sum(line.startswith("epoch") for line in caplog.messages) < 12


def test_a_start_gives_all_but_the_last_layer(fitted):
    with reproducible(1):
        one = fit(examples(20, 1), examples(20, 2), 2, width=32, epochs=1, seed=1, start=fitted.network)
        without = fit(examples(20, 1), examples(20, 2), 2, width=32, epochs=1, seed=1)
    assert one.validation < without.validation  # one pass is not enough for random weights


def test_every_class_weighs_the_same():
    classes = torch.tensor([0] * 6 + [1] * 2 + [3] * 4)
    weights = class_weights(classes, 4)
    assert weights[2] == 0
    assert [float(weights[k] * (classes == k).sum()) for k in (0, 1, 3)] == pytest.approx([4, 4, 4])
    logits = np.random.default_rng(1).normal(size=(12, 4))
    by_class = [log_loss([k] * n, np.exp(log_softmax(logits[(classes == k).numpy()])), labels=range(4))
                for k, n in ((0, 6), (1, 2), (3, 4))]  # fmt: skip
    assert weighted_cross_entropy(logits, classes.numpy()) == pytest.approx(np.mean(by_class))


# How far it can be trusted.


@pytest.fixture(params=[(40, None), (200, 1)], ids=["no ties", "ties"])
def scored(request):
    n, digits = request.param
    generator = np.random.default_rng(n)
    positive = generator.random(n) < 0.3
    scores = generator.normal(positive * 1.0)
    scores = scores if digits is None else scores.round(digits)
    return scores, positive, generator.multinomial(n, np.full(n, 1 / n), size=5)


@pytest.mark.parametrize(("ours", "theirs"), [(auroc, roc_auc_score), (average_precision, average_precision_score)])
def test_areas_are_those_of_scikit_learn_resampled_too(scored, ours, theirs):
    scores, positive, counts = scored
    found = ours(scores, positive, np.concatenate([np.ones((1, len(scores))), counts]))
    assert found[0] == pytest.approx(theirs(positive, scores))
    for drawn, again in zip(counts, found[1:], strict=True):
        assert again == pytest.approx(theirs(np.repeat(positive, drawn), np.repeat(scores, drawn)))
    assert np.isnan(ours(scores, np.ones(len(scores), dtype=bool), np.ones((1, len(scores)))))


def test_calibration_error_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.3, 0.7], [0.3, 0.7]])
    classes = np.array([0, 1, 1, 1])
    # Confidence 0.95, right 1 of 2; confidence 0.7, right 2 of 2.
    assert calibration_error(probabilities, classes, np.ones((1, 4)))[0] == pytest.approx((0.45 + 0.3) / 2)
    # The same sequence without the mistake.
    assert calibration_error(probabilities, classes, np.array([[2, 0, 1, 1]]))[0] == pytest.approx((0.05 + 0.3) / 2)


def test_the_temperature_makes_calibrated_what_is_too_sure():
    generator = np.random.default_rng(1)
    true = generator.normal(size=(4000, 3)) * 2
    classes = np.array([generator.choice(3, p=row) for row in np.exp(log_softmax(true))])
    assert temperature(true, classes) == pytest.approx(1, abs=0.06)
    assert temperature(true * 3, classes) == pytest.approx(3 * temperature(true, classes), rel=1e-6)
    best = minimize_scalar(lambda heat: weighted_cross_entropy(true * 3 / heat, classes), bounds=(0.1, 20)).x
    assert temperature(true * 3, classes) == pytest.approx(best, rel=1e-3)
    assert temperature(np.eye(3)[classes], classes) == pytest.approx(0.05, rel=1e-3)  # never wrong: as sure as it may


def log_probabilities(labels: list[str], known: list[str], strength: float, seed: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(len(labels), len(known) + 1))
    for place, label in enumerate(labels):
        logits[place, [*known, "background"].index(label)] += strength
    return log_softmax(logits)


def test_performance_is_that_of_the_log_odds():
    labels, known = ["a"] * 60 + ["b"] * 30 + ["c"] * 20, ["a", "b", "c"]
    real_p = log_probabilities(labels, known, 2.0, 1)
    shuffled = log_probabilities(["background"] * 110, known, 2.0, 2)
    table = performance(real_p, shuffled, labels, known, bootstrap=200, seed=1).set_index(
        ["metric", "label", "against"]
    )
    p = np.exp(real_p)
    is_a = np.array(labels) == "a"
    row = table.loc["auroc", "a", "labels"]
    assert row["value"] == pytest.approx(roc_auc_score(is_a, p[:, 0] / p[:, :3].sum(axis=1)))
    assert (row["n"], row["positives"]) == (110, 60)
    both = np.concatenate([p[is_a], np.exp(shuffled)[is_a]])
    row = table.loc["auprc", "a", "background"]
    assert row["value"] == pytest.approx(average_precision_score([1] * 60 + [0] * 60, both[:, 0] / both[:, 3]))
    assert row["ci_low"] < row["value"] < row["ci_high"]
    assert table.loc["auroc", "all", "background"]["n"] == 220
    assert table.loc["calibration_error", "all", "all classes"]["value"] < 0.5
    assert len(table) == 2 * (3 + 4) + 1


def test_one_label_is_told_from_the_background_alone():
    table = performance(
        log_probabilities(["a"] * 20, ["a"], 1.0, 1), log_probabilities(["background"] * 20, ["a"], 1.0, 2),
        ["a"] * 20, ["a"], bootstrap=100, seed=1,
    )  # fmt: skip
    assert set(table["against"]) == {"background", "all classes"}


def test_no_window_is_a_row_with_a_reason():
    table = performance(np.zeros((0, 2)), np.zeros((0, 2)), [], ["a"], bootstrap=100, seed=1)
    assert "no test window" in table["note"].iloc[0]


# Halves.


def on_chromosomes(**of_chrom: dict[str, int]) -> pd.DataFrame:
    """WINDOWS with so many of each label on each chromosome."""
    rows = [(chrom, label) for chrom, labels in of_chrom.items() for label, n in labels.items() for _ in range(n)]
    frame = windows(pd.DataFrame({"label": [label for _, label in rows],
                                  "sequence": random_sequences(len(rows), 5, width=40)}))  # fmt: skip
    return frame.assign(chrom=[chrom for chrom, _ in rows])


def test_whole_chromosomes_and_labels_in_balance():
    frame = on_chromosomes(chr1={"a": 90, "b": 30}, chr2={"a": 50, "b": 60}, chr3={"a": 45, "b": 25}, chr4={"b": 25})
    parts, chroms = halves(frame, SEED)
    sides = {name: frame.iloc[rows] for name, rows in parts.items()}
    assert set(sides["judge"]["chrom"]) == set(chroms)
    assert not set(sides["judge"]["chrom"]) & set(sides["guide"]["chrom"])
    assert len(parts["judge"]) + len(parts["guide"]) == len(frame)
    for label in ("a", "b"):
        counts = [int((side["label"] == label).sum()) for side in sides.values()]
        assert min(counts) / sum(counts) > 0.35, label


@pytest.mark.parametrize(
    "frame",
    [
        on_chromosomes(chr1={"a": 40, "b": 40}),
        on_chromosomes(chr1={"a": 90, "b": 90}, chr2={"a": 10, "b": 12}),
        on_chromosomes(chr1={"a": 50}, chr2={"b": 50}),
        on_chromosomes(chr1={"a": 40, "b": 40}).assign(chrom=None),
    ],
    ids=["one chromosome", "one small", "a label each", "no coordinates"],
)
def test_drawn_where_chromosomes_will_not_do(frame):
    parts, chroms = halves(frame, SEED)
    assert chroms == []
    for label in ("a", "b"):
        counts = [int((frame["label"].iloc[rows] == label).sum()) for rows in parts.values()]
        assert abs(counts[0] - counts[1]) <= 1, label
    assert not (set(parts["guide"]) & set(parts["judge"]))
    assert [rows.tolist() for rows in halves(frame, SEED)[0].values()] == [rows.tolist() for rows in parts.values()]
    assert halves(frame, SEED + 1)[0]["judge"].tolist() != parts["judge"].tolist()


def test_no_sequence_is_on_both_sides_on_either_strand():
    frame = on_chromosomes(chr1={"a": 40}, chr2={"a": 40})
    twice = frame.assign(
        sequence=[*frame["sequence"].iloc[:40], *[complement(text) for text in frame["sequence"].iloc[:40]]]
    )
    for table in (twice, twice.assign(chrom="chr1")):
        parts, _ = halves(table, SEED)
        keys = {n: {min(s, complement(s)) for s in table["sequence"].iloc[rows]} for n, rows in parts.items()}
        assert not keys["guide"] & keys["judge"]


# The oracles as files.


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with splits, the judge trained on them, its performance and its judgements."""
    folder = tmp_path_factory.mktemp("oracle")
    for number, (name, n) in enumerate({"train": 240, "validation": 60, "test": 60}.items()):
        frame = windows(real(n, 1000 * number))
        if name == "train":
            frame["chrom"] = np.where(np.arange(len(frame)) % 2, "chr1", "chr2")
        write_parquet(frame, folder / f"{name}.parquet", WINDOWS_COLUMNS)
    train_oracle(folder / "train.parquet", folder / "validation.parquet", "judge", SETTINGS, seed=SEED,
                 folder=folder / "judge")  # fmt: skip
    evaluate_oracle(folder / "judge", folder / "test.parquet", bootstrap=100, seed=SEED,
                    destination=folder / "judge/performance.tsv")  # fmt: skip
    train = pd.read_parquet(folder / "train.parquet")
    reference = train.assign(set="reference", name=[f"train_{row + 1}" for row in range(len(train))])
    held = real(40, 5000)
    sets = pd.concat(
        [
            as_sets(
                generated=held.assign(label=held["label"].map({"blood": "gut", "gut": "blood"})),
                ceiling=held,
                uniform=held.assign(sequence=random_sequences(len(held), 3)),
            ),
            reference.groupby("label").head(40)[["set", "name", "label", "sequence"]],
        ]
    )
    sets.to_parquet(folder / "sets.parquet")
    judge_sets(folder / "judge", folder / "sets.parquet", folder / "train.parquet", seed=SEED,
               destination=folder / "oracle.parquet")  # fmt: skip
    return folder


def test_a_judge_learns_labels_and_says_how_well(made):
    table = read_tsv(made / "judge/performance.tsv", ORACLE_PERFORMANCE).set_index(["metric", "label", "against"])
    for label in ("blood", "gut"):
        # A fifth of the windows has no motif at all.
        assert table.loc["auroc", label, "labels"]["value"] > 0.8
        assert table.loc["auroc", label, "background"]["value"] > 0.7
    assert table.loc["calibration_error", "all", "all classes"]["value"] < 0.2


def test_a_judge_is_what_its_file_says(made):
    description = json.loads((made / "judge/oracle.json").read_text())
    assert description["labels"] == ["blood", "gut"]
    assert description["judge_chromosomes"] in (["chr1"], ["chr2"])
    assert description["windows"] == {"blood": 120, "gut": 120}
    oracle = load_oracle(made / "judge")
    held = pd.read_parquet(made / "validation.parquet")["sequence"].tolist()
    log_p, embeddings = oracle.read(held)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1)
    assert embeddings.shape == (120, EMBEDDING)
    # The embedding is what the last layer reads.
    head = oracle.network.head
    logits = embeddings @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(log_softmax(logits / oracle.temperature), log_p, atol=1e-4)


def test_training_again_gives_the_same_bytes(made, tmp_path):
    train_oracle(made / "train.parquet", made / "validation.parquet", "judge", SETTINGS, seed=SEED, folder=tmp_path)
    for name in ("model.safetensors", "oracle.json"):
        assert (tmp_path / name).read_bytes() == (made / "judge" / name).read_bytes(), name
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_guide_is_another_of_other_windows(made, tmp_path):
    settings = {**SETTINGS, "epochs": 1}
    train_oracle(made / "train.parquet", made / "validation.parquet", "guide", settings, seed=SEED, folder=tmp_path)
    guide, judge = load_oracle(tmp_path), load_oracle(made / "judge")
    assert guide.description["windows"] == {"blood": 120, "gut": 120}
    assert not torch.equal(guide.network.head.weight, judge.network.head.weight)


def test_judgements(made):
    table = read_parquet(made / "oracle.parquet", JUDGEMENTS)
    p = np.stack(table["probabilities"].to_list())
    assert p.shape == (len(table), 3)
    column = table["label"].map({"blood": 0, "gut": 1}).to_numpy()
    own = p[np.arange(len(p)), column]
    np.testing.assert_allclose(table["activity"], np.log(own / p[:, 2]))
    assert (table["predicted"] == np.where(p[:, 0] > p[:, 1], "blood", "gut")).all()
    mean = table.groupby("set")["activity"].mean()
    assert mean["ceiling"] > mean["uniform"] + 1
    right = (table["predicted"] == table["label"]).groupby(table["set"]).mean()
    assert right["ceiling"] > 0.75
    assert right["generated"] < 0.25  # the labels were swapped


def test_the_reference_is_what_the_judge_has_not_seen(made):
    table = read_parquet(made / "oracle.parquet", JUDGEMENTS)
    train = pd.read_parquet(made / "train.parquet")
    reference = table[table["set"] == "reference"]
    assert reference["label"].value_counts().to_dict() == {"blood": 40, "gut": 40}
    rows = reference["name"].str.removeprefix("train_").astype(int) - 1
    seen = set(load_oracle(made / "judge").description["judge_chromosomes"])
    assert not set(train["chrom"].iloc[rows]) & seen
    assert (train["label"].iloc[rows].to_numpy() == reference["label"]).all()
    assert reference["name"].is_unique


def test_activity_of_no_label_and_of_an_unknown_one():
    log_p = np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]]))
    found = activity(log_p, ["all", "all"], ["x", "y"])
    np.testing.assert_allclose(found, np.log([0.8 / 0.2, 0.2 / 0.8]))
    assert np.isnan(activity(log_p, ["z", "x"], ["x", "y"])).tolist() == [True, False]


def test_too_few_windows_give_an_oracle_that_says_nothing(tmp_path, caplog):
    for name, n in {"train": FEWEST - 1, "validation": 5, "test": 5}.items():
        write_parquet(windows(real(n, 1)), tmp_path / f"{name}.parquet", WINDOWS_COLUMNS)
    held = real(5, 9)
    as_sets(generated=held, ceiling=held, reference=held).to_parquet(tmp_path / "sets.parquet")
    with caplog.at_level(logging.INFO):
        train_oracle(tmp_path / "train.parquet", tmp_path / "validation.parquet", "judge", SETTINGS, seed=SEED,
                     folder=tmp_path / "judge")  # fmt: skip
    assert "label blood is not one of the oracle's: 4 windows in its half" in caplog.text
    evaluate_oracle(tmp_path / "judge", tmp_path / "test.parquet", bootstrap=100, seed=SEED,
                    destination=tmp_path / "performance.tsv")  # fmt: skip
    assert read_tsv(tmp_path / "performance.tsv", ORACLE_PERFORMANCE)["note"].notna().all()
    judge_sets(tmp_path / "judge", tmp_path / "sets.parquet", tmp_path / "train.parquet", seed=SEED,
               destination=tmp_path / "oracle.parquet")  # fmt: skip
    table = read_parquet(tmp_path / "oracle.parquet", JUDGEMENTS)
    assert table["activity"].isna().all()
    assert table["predicted"].isna().all()
    with pytest.raises(ValueError, match="no label"):
        load_oracle(tmp_path / "judge").read(["ACGT"])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "oracle.json").unlink(), "no such file"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no such file"),
        (lambda folder: (folder / "oracle.json").write_text("{}"), "does not hold an oracle"),
        (lambda folder: (folder / "oracle.json").write_text("no json"), "does not hold an oracle"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"damaged"), "does not hold an oracle"),
    ],
)
def test_a_damaged_folder_is_named(tmp_path, spoil, said):
    description = {"labels": ["a"], "settings": SETTINGS, "temperature": 1.0}
    save_oracle(Oracle(["a"], network(2, SETTINGS["width"]), 1.0, description), tmp_path)
    assert load_oracle(tmp_path).labels == ["a"]
    spoil(tmp_path)
    with pytest.raises(UserError, match=said):
        load_oracle(tmp_path)


# Telling sets apart.


@pytest.fixture(scope="module")
def told():
    held = planted(90, 1, "blood", rate=1.0)
    sets = as_sets(
        generated=one_label(random_sequences(90, 7)),
        ceiling=one_label(planted(90, 300, "blood", rate=1.0)),
        copies=one_label(held),
        collapsed=one_label([held[3]] * 90),
        few=one_label(held[:10]),
        reference=one_label(held),
    )
    with reproducible(1):
        start = fit(examples(150, 11), examples(60, 12), 2, width=32, epochs=8, seed=1).network
        oracle = Oracle(["blood"], start, 1.0, {"settings": {"epochs": 5, "width": 32}})
        return discriminate(sets, oracle, seed=1), sets


def area(scores: pd.DataFrame, name: str) -> float:
    own = scores[scores["opposing"] == name]
    return np.mean([roc_auc_score(fold["set"] == name, fold["score"]) for _, fold in own.groupby("fold")])


def test_what_lacks_the_motif_is_told_and_real_is_not(told):
    scores, _ = told
    assert area(scores, "generated") > 0.9
    assert 0.3 < area(scores, "ceiling") < 0.7
    assert area(scores, "collapsed") > 0.95


def test_copies_of_the_reference_are_a_coin(told):
    scores, _ = told
    assert area(scores, "copies") == pytest.approx(0.5)
    own = scores[scores["opposing"] == "copies"].merge(told[1], on=["set", "name", "label"])
    assert (own.groupby("sequence")["fold"].nunique() == 1).all()


def test_the_area_in_the_evaluation_is_scikit_learns(told):
    scores, sets = told
    evaluation, _ = evaluate_discrimination(sets[sets["set"] != "collapsed"], scores, bootstrap=100, seed=1)
    for name in ("generated", "ceiling", "copies"):
        # Folds are of one size but for one sequence.
        assert value(evaluation, "discrimination_cnn_auroc", name) == pytest.approx(area(scores, name), abs=0.005)
    found = row(evaluation, "discrimination_cnn_auroc", label="blood")
    assert found["ci_low"] < found["value"] <= found["ci_high"]
    assert "fewer than 50" in row(evaluation, "discrimination_cnn_auroc", "few")["note"]
    assert "discrimination_cnn_auroc" not in set(evaluate_discrimination(sets, bootstrap=100, seed=1)[0]["metric"])


def test_every_sequence_has_one_score_and_the_reference_one_a_set(told):
    scores, _ = told
    assert set(scores["opposing"]) == {"generated", "ceiling", "copies", "collapsed"}  # ten are too few
    assert not scores.duplicated(["opposing", "set", "name"]).any()
    for name, part in scores.groupby("opposing"):
        assert part["set"].value_counts().to_dict() == {name: 90, "reference": 90}
        assert sorted(set(part["fold"])) == list(range(FOLDS))
        assert part.groupby(["set", "fold"]).size().between(20, 40).all()


def test_at_most_so_many_of_each_set_are_used(monkeypatch):
    monkeypatch.setattr("diffusion_bert.oracle.discriminate.MOST", 40)
    sets = as_sets(generated=real(45, 1), reference=real(45, 2))
    oracle = Oracle(["blood"], None, 1.0, {"settings": {"epochs": 1, "width": 8}})
    with reproducible(1):
        scores = discriminate(sets, oracle, seed=1)
        again = discriminate(sets, oracle, seed=1)
    pd.testing.assert_frame_equal(scores, again)
    assert scores.groupby(["set", "label"]).size().to_dict() == {
        (name, label): 20 for name in ("generated", "reference") for label in ("blood", "gut")
    }
