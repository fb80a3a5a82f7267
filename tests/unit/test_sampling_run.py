"""A run: how many of each label and how long, what is dropped and drawn again, shards, and going on after a kill."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling_cases import FALSE_ALARM, chi_square, sequence_counts
from sampling_cases import settings as sampler
from toy_models import LabelModel, all_sequences, as_denoiser, markov_model
from toy_settings import SETTINGS
from toy_windows import windows

from diffusion_bert.backbones.load import build_model
from diffusion_bert.errors import UserError
from diffusion_bert.oracle.folder import Oracle, load_oracle, save_oracle
from diffusion_bert.oracle.network import SequenceNetwork
from diffusion_bert.reproducible import reproducible
from diffusion_bert.sampling import jobs
from diffusion_bert.sampling import run as module
from diffusion_bert.sampling.collapse import COLLAPSE
from diffusion_bert.sampling.draws import Draw, Draws
from diffusion_bert.sampling.jobs import generate_run, generate_shard
from diffusion_bert.sampling.request import Request, counts_of_labels, share_out
from diffusion_bert.sampling.run import FILTERED
from diffusion_bert.tables import SEQUENCES, WINDOWS, read_fasta, read_parquet, read_tsv, write_parquet
from diffusion_bert.tokens import BaseTokenizer
from diffusion_bert.training.checkpoints import save_model_folder

FILTERS = {"forbidden": [], "max_homopolymer": None, "gc": None, "keep_duplicates": False, "attempts": 20}

# How many of each label


def test_largest_remainders_get_the_rest():
    assert share_out(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    assert share_out(2, {"a": 100, "b": 1, "c": 99}) == {"a": 1, "c": 1}


@given(st.integers(1, 500), st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 50), min_size=1))
def test_the_shares_are_whole_and_sum_up(number, weights):
    shares = share_out(number, weights)
    assert sum(shares.values()) == number
    for label, weight in weights.items():
        assert abs(shares.get(label, 0) - number * weight / sum(weights.values())) < 1


def test_the_number_is_shared_out_as_the_test_windows_are_or_evenly():
    model = as_denoiser(LabelModel({"a": [0.25] * 4, "b": [0.25] * 4}))
    held_out, known = pd.Series(["a", "a", "b", "a"]), pd.Series(["a", "b"])
    assert counts_of_labels(8, None, model, held_out, known) == {"a": 6, "b": 2}
    assert counts_of_labels(8, {"b": 3}, model, held_out, known) == {"b": 3}
    assert counts_of_labels(7, None, model, None, None) == {"a": 4, "b": 3}
    model.tokenizer.labels.clear()
    assert counts_of_labels(7, None, model, None, None) == {None: 7}
    with pytest.raises(UserError, match=r"generate.labels.c is not a label of the training windows \(a, b\)"):
        counts_of_labels(8, {"c": 2}, model, held_out, known)


# Whole runs, of a model that knows nothing


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Two threads wait for each other, far longer than they work on models of this size, where others use the cores."""
    monkeypatch.setattr(jobs, "reproducible", lambda: reproducible(1))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A model folder, train.parquet and test.parquet."""
    folder = tmp_path_factory.mktemp("data")
    torch.manual_seed(1)
    tokenizer = BaseTokenizer(["a", "b"])
    model = build_model(SETTINGS, tokenizer, 60)
    save_model_folder(folder / "model", model, tokenizer, {"schedule": {"name": "linear"}})
    rng = np.random.default_rng(1)
    rows = ["".join(rng.choice(list("ACGT"), 24 + i % 3 * 2)) for i in range(60)]
    rows = windows(rows, ["a", "b"] * 30, strands="+")
    for name in ("train", "test"):
        write_parquet(rows, folder / f"{name}.parquet", WINDOWS)
    return folder


def request(data, **changes):
    filters = {**FILTERS, **changes.pop("filters", {})}
    settings = {
        "model": data / "model",
        "train": data / "train.parquet",
        "test": data / "test.parquet",
        "sampler": {**sampler(**{"steps": 6, **changes.pop("sampler", {})}), "template": changes.pop("template", None)},
        "number": 30,
        "labels": None,
        "length": None,
        "filters": filters,
        "likelihood_samples": 2,
        "seed": 7,
        "guide": None,
        **changes,
    }
    return Request(**settings)


def files(out):
    return {
        "fasta": out / "s.fasta",
        "table": out / "s.parquet",
        "filtered": out / "filters.tsv",
        "collapsed": out / "collapse.tsv",
        "kept": out / "draws" / "all.jsonl",
    }


def run(data, out, **changes):
    written = files(out) | {
        key: changes.pop(key) for key in ("collapsed", "kept", "name", "progress") if key in changes
    }
    generate_run(request(data, **changes), **written)
    return read_parquet(out / "s.parquet", SEQUENCES)


def counts(out, label=None):
    table = read_tsv(out / "filters.tsv", FILTERED)
    table = table if label is None else table[table["label"] == label]
    return table.groupby("what", sort=False)["sequences"].sum().to_dict()


def content(out):
    return {name: (out / name).read_bytes() for name in ("s.fasta", "s.parquet", "filters.tsv", "collapse.tsv")}


def test_a_run_writes_what_was_asked_for(data, tmp_path):
    made = run(data, tmp_path)
    assert made["label"].value_counts().to_dict() == {"a": 15, "b": 15}
    assert set(made["length"]) == {24, 26, 28}
    assert (made["sequence"].str.len() == made["length"]).all()
    assert made["bits_per_base"].between(1, 4).all()
    assert made["sequence"].is_unique
    assert made["name"][[0, 15]].tolist() == ["a_000000", "b_000000"]
    assert read_fasta(tmp_path / "s.fasta")["sequence"].tolist() == made["sequence"].tolist()
    assert counts(tmp_path) == {"asked": 30, "drawn": 30, "duplicate": 0, "made": 30}
    alarms = read_tsv(tmp_path / "collapse.tsv", COLLAPSE)
    assert set(alarms["label"]) == {"all", "a", "b"}
    assert run(data, tmp_path / "again").equals(made)
    assert content(tmp_path) == content(tmp_path / "again")


def test_filters_hold_and_are_counted(data, tmp_path):
    plain = run(data, tmp_path / "plain", number=60)
    filters = {"forbidden": ["AluI", "GGNCC"], "max_homopolymer": 3, "gc": [0.3, 0.7]}
    made = run(data, tmp_path / "filtered", number=60, filters=filters)
    assert len(made) == 60
    for sequence in made["sequence"]:
        assert not any(site in sequence for site in ("AGCT", *(f"GG{base}CC" for base in "ACGT")))
        assert not any(base * 4 in sequence for base in "ACGT")
        assert 0.3 <= (sequence.count("G") + sequence.count("C")) / len(sequence) <= 0.7
    # What passed before is there as it was; the rest was drawn again.
    kept = made.set_index("name")["sequence"].eq(plain.set_index("name")["sequence"])
    assert 0 < kept.sum() < 60
    told = counts(tmp_path / "filtered")
    assert list(told) == [
        "asked",
        "drawn",
        "forbidden AluI",
        "forbidden GGNCC",
        "homopolymer",
        "gc",
        "duplicate",
        "made",
    ]
    assert told["drawn"] - told["made"] == sum(told[name] for name in list(told)[2:-1])
    assert told["asked"] == told["made"] == 60
    assert told["forbidden AluI"] > 0
    assert told["homopolymer"] > 0


@pytest.mark.parametrize(
    "filters", [{"forbidden": ["GAC", "CTY"]}, {"max_homopolymer": 1, "gc": [0.25, 0.5]}], ids=["patterns", "bounds"]
)
def test_what_passes_has_the_law_of_the_model_given_that_it_passes(data, tmp_path, monkeypatch, filters):
    """Filters are exact constraints: nothing is mended, what fails is drawn anew from the start."""
    model = as_denoiser(markov_model())
    model.settings["weights_sha256"] = "toy"
    monkeypatch.setattr(module, "load_model_folder", lambda folder: model)
    given = {**filters, "keep_duplicates": True, "attempts": 200}
    # One base a step, as in ancestral with many.
    changes = {"labels": {None: 2500}, "length": 4, "sampler": {"order": "random", "steps": 4}, "likelihood_samples": 2}
    none = {"train": None, "test": None, "collapsed": None, "kept": None}
    monkeypatch.setattr(module, "_BATCH", 2500)
    made = run(data, tmp_path, **changes, **none, filters=given)
    assert len(made) == 2500
    failed = module.Filters.from_settings({**FILTERS, **given}).failed
    every = all_sequences(4)
    law = np.exp(model.model.log_prob(every))
    passes = np.array([failed(sequence) is None for sequence in every])
    drawn = sequence_counts(made["sequence"], 4)
    assert chi_square(drawn, np.where(passes, law, 0) / law[passes].sum()) > FALSE_ALARM
    assert chi_square(drawn, np.where(passes, law**0.8, 0) / (law[passes] ** 0.8).sum()) < 1e-6
    # What it costs: draws for each sequence that passes are 1 / (the probability to pass).
    told = counts(tmp_path)
    assert told["drawn"] / told["made"] == pytest.approx(1 / law[passes].sum(), rel=0.08)


def test_duplicates_are_drawn_again_until_nothing_new_is_left(data, tmp_path, caplog):
    """There are 16 sequences of 2 bp: 12 can be had, over both labels together, and 30 cannot."""
    few = run(data, tmp_path / "few", length=2, filters={"attempts": 200}, labels={"a": 8, "b": 4})
    assert few["sequence"].is_unique
    assert len(few) == 12
    assert counts(tmp_path / "few")["duplicate"] > 0
    many = run(data, tmp_path / "many", length=2, filters={"attempts": 60}, labels={"a": 15, "b": 15})
    assert many["sequence"].is_unique
    assert len(many) <= 16
    assert "sequences could be made in" in caplog.text
    told = counts(tmp_path / "many")
    assert told["asked"] == 30
    assert told["made"] == len(many)
    assert told["drawn"] == told["made"] + told["duplicate"]
    all_of_them = run(data, tmp_path / "kept", length=2, filters={"keep_duplicates": True})
    assert len(all_of_them) == 30
    assert not all_of_them["sequence"].is_unique


def test_where_nothing_passes_the_account_is_the_message(data, tmp_path):
    (tmp_path / "t.fa").write_text(">a\nNNGAATTCNN\n")
    with pytest.raises(UserError, match=r"Not one of 30 sequences passes .* 3 draws each \(.*45 forbidden EcoRI"):
        run(data, tmp_path, template=tmp_path / "t.fa", filters={"forbidden": ["EcoRI"], "attempts": 3})
    assert not (tmp_path / "s.fasta").exists()


def test_templates_are_taken_in_turn_within_each_label(data, tmp_path):
    (tmp_path / "t.fa").write_text(">a\nNNNNNNNNTTGACANNNNNN\n>b\nACGTNNNNNNNNNNNN\n")
    made = run(data, tmp_path, template=tmp_path / "t.fa", length=50)
    for i, row in enumerate(made.itertuples()):
        if i % 15 % 2 == 0:
            assert row.length == 20
            assert row.sequence[8:14] == "TTGACA"
        else:
            assert row.length == 16
            assert row.sequence[:4] == "ACGT"
    (tmp_path / "t.fa").write_text(">a\nNNNNNNNNTTGACANNNNNN\n>b\nACGANNNNNNNNNNNN\n")
    again = run(data, tmp_path, template=tmp_path / "t.fa", length=50)  # with the draws that are kept
    assert again["sequence"][::2].str[:4].tolist() != again["sequence"][1::2].str[:4].tolist()
    assert {row.sequence[:4] for i, row in enumerate(again.itertuples()) if i % 15 % 2} == {"ACGA"}
    assert again["sequence"][0] == made["sequence"][0]


# What is kept


class Counted:
    """How many sequences are drawn, and a kill after so many batches."""

    def __init__(self, monkeypatch, kill_after=None):
        self.drawn, self.kill_after, real = 0, kill_after, module.in_batches

        def counted(*args, **kwargs):
            for number, (batch, made) in enumerate(real(*args, **kwargs)):
                if number == self.kill_after:
                    raise KeyboardInterrupt
                self.drawn += len(batch)
                yield batch, made

        monkeypatch.setattr(module, "in_batches", counted)


def test_a_killed_run_goes_on_from_its_batches(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 4)
    filters = {"max_homopolymer": 3}
    whole = run(data, tmp_path / "whole", filters=filters)
    with monkeypatch.context() as context:
        killed = Counted(context, kill_after=5)
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path / "cut", filters=filters)
    file = tmp_path / "cut/draws/all.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + killed.drawn
    assert killed.drawn > 12
    file.write_text("".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])  # the kill came while this one was written
    with monkeypatch.context() as context:
        counted = Counted(context)
        assert run(data, tmp_path / "cut", filters=filters).equals(whole)
    assert counted.drawn == counts(tmp_path / "whole")["drawn"] - killed.drawn + 1
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_a_larger_number_draws_only_what_is_new(data, tmp_path, monkeypatch):
    small = run(data, tmp_path, number=20)
    counted = Counted(monkeypatch)
    large = run(data, tmp_path, number=32)
    assert counted.drawn == 12
    assert large.set_index("name").loc[small["name"]].equals(small.set_index("name"))
    other = run(data, tmp_path / "other", number=32)
    pd.testing.assert_frame_equal(other, large)
    assert run(data, tmp_path, number=20).equals(small)
    counted.drawn = 0
    run(data, tmp_path, number=20, filters={"max_homopolymer": 4})
    assert 0 < counted.drawn < 20  # a filter that is new draws only again what it drops


@pytest.mark.parametrize("changes", [{"seed": 8}, {"sampler": {"temperature": 0.9}}, {"length": 30}])
def test_other_settings_take_nothing_of_what_is_kept(data, tmp_path, monkeypatch, changes):
    run(data, tmp_path)
    counted = Counted(monkeypatch)
    other = run(data, tmp_path, **changes)
    assert counted.drawn == 30
    assert other.equals(run(data, tmp_path / "other", **changes))


def test_other_code_or_another_model_takes_nothing_of_what_is_kept(data, tmp_path, monkeypatch):
    run(data, tmp_path)
    monkeypatch.setattr(module, "_code", lambda guided: ["another"])
    counted = Counted(monkeypatch)
    run(data, tmp_path)
    assert counted.drawn == 30
    identity = json.loads((tmp_path / "draws/all.jsonl").read_text().splitlines()[0])["identity"]
    assert json.loads((data / "model/diffusion.json").read_text())["weights_sha256"] in identity


def test_another_number_of_samples_scores_anew_and_draws_nothing(data, tmp_path, monkeypatch):
    two = run(data, tmp_path)
    counted = Counted(monkeypatch)
    four = run(data, tmp_path, likelihood_samples=4)
    assert counted.drawn == 0
    assert four["sequence"].equals(two["sequence"])
    assert (four["bits_per_base"] != two["bits_per_base"]).mean() > 0.9


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_any_number_of_shards_makes_the_same_files(data, tmp_path, monkeypatch, shards):
    changes = {"length": 3, "filters": {"max_homopolymer": 2, "attempts": 50}}
    run(data, tmp_path / "whole", **changes)
    asked = request(data, **changes)
    tables = []
    for shard in range(shards):
        tables.append(tmp_path / f"{shard}.parquet")
        kept = tmp_path / "parts" / "draws" / f"{shard}.jsonl"
        generate_shard(asked, shard=shard, shards=shards, table=tables[-1], kept=kept)
    for file in (tmp_path / "parts/draws").iterdir():
        file.unlink()  # what the shards hand over is all that counts
    counted = Counted(monkeypatch)
    generate_run(asked, **files(tmp_path / "parts"), shards=tables)
    told = counts(tmp_path / "whole")
    assert told["duplicate"] > 0
    assert counted.drawn <= told["duplicate"] + told["homopolymer"]
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_what_another_shard_has_kept_is_known(tmp_path):
    one = Draws(tmp_path / "0.jsonl", "i", 2)
    draw = Draw("a", 0, 0, 4, None)
    one.keep(sequences={draw: "ACGT"}, bits={draw: 1.5})
    assert Draws(tmp_path / "1.jsonl", "i", 2).sequences == {draw: "ACGT"}
    assert Draws(tmp_path / "1.jsonl", "i", 2).bits == {draw: 1.5}
    assert Draws(tmp_path / "1.jsonl", "i", 3).bits == {}
    assert Draws(tmp_path / "2.jsonl", "other", 2).sequences == {}
    assert Draws(tmp_path / "0.jsonl", "i", 2).sequences == {draw: "ACGT"}


def test_draws_survive_their_table(tmp_path):
    kept = Draws()
    draws = {Draw("a", 0, 1, 4, None): "ACGT", Draw(None, 3, 0, 2, "NR"): "CA"}
    kept.keep(sequences=draws, bits={Draw("a", 0, 1, 4, None): 1.25})
    other = Draws()
    other.take_table(kept.table(draws))
    assert other.sequences == draws
    assert other.bits == kept.bits


def test_a_collapse_is_warned_of_while_drawing_goes_on(data, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 8)
    told = []

    def progress(done, total):
        told.append((done, "may have collapsed" in caplog.text))

    run(
        data,
        tmp_path,
        number=48,
        sampler={"top_k": 1, "order": "left_to_right", "steps": 2},
        progress=progress,
        length=20,
    )
    assert told[0] == (8, False)
    assert told[-1] == (48, True)
    assert any(warned for done, warned in told if done < 40)
    table = read_tsv(tmp_path / "collapse.tsv", COLLAPSE)
    assert table.loc[table["measure"] == "unique", "alarm"].tolist() == ["yes"] * 3


def test_without_windows_there_must_be_a_length(data, tmp_path):
    none = {"train": None, "test": None, "collapsed": None}
    with pytest.raises(UserError, match="Nothing says how long the sequences are to be"):
        run(data, tmp_path, **none)
    made = run(data, tmp_path, **none, length=12, labels={None: 2, "b": 3})
    assert made["name"].tolist() == ["seq_000000", "seq_000001", "b_000000", "b_000001", "b_000002"]
    assert not (tmp_path / "collapse.tsv").exists()


# A guide


def oracle_in(folder, kind="guide", seed=3, labels=("a", "b")):
    torch.manual_seed(seed)
    labels = list(labels)
    description = {"oracle": kind, "labels": labels, "settings": {"width": 8}, "temperature": 0.1}
    save_oracle(Oracle(labels, SequenceNetwork(len(labels) + 1, 8).eval(), 0.1, description), folder)
    return folder


GUIDED = {
    "best_of": {"guide": {"method": "best_of", "candidates": 5}},
    "smc": {"guide": {"method": "smc", "candidates": 5, "strength": 4.0}},
}


def said(folder, made):
    log_p = load_oracle(folder).read(made["sequence"].tolist())[0]
    return np.mean([row[["a", "b"].index(label)] - row[2] for row, label in zip(log_p, made["label"], strict=True)])


@pytest.mark.parametrize("method", GUIDED)
def test_a_guided_run_is_cut_into_shards_killed_and_enlarged_like_any_other(data, tmp_path, monkeypatch, method):
    guide = oracle_in(tmp_path / "guide")
    changes = {"length": 20, "sampler": GUIDED[method], "filters": {"max_homopolymer": 3}, "guide": guide}
    plain = run(data, tmp_path / "plain", length=20, filters={"max_homopolymer": 3})
    whole = run(data, tmp_path / "whole", **changes)
    assert said(guide, whole) > said(guide, plain) + 0.1
    asked = request(data, **changes)
    tables = [tmp_path / f"{shard}.parquet" for shard in range(3)]
    for shard, table in enumerate(tables):
        generate_shard(asked, shard=shard, shards=3, table=table, kept=tmp_path / "parts/draws" / f"{shard}.jsonl")
    generate_run(asked, **files(tmp_path / "parts"), shards=tables)
    assert content(tmp_path / "parts") == content(tmp_path / "whole")
    counted = Counted(monkeypatch)
    large = run(data, tmp_path / "whole", number=36, **changes)
    assert counted.drawn < 12
    assert large.set_index("name").loc[whole["name"]].equals(whole.set_index("name"))
    counted.drawn = 0
    run(data, tmp_path / "whole", **{**changes, "guide": oracle_in(tmp_path / "another", seed=4)})
    assert counted.drawn >= 30  # another guide takes nothing of what is kept


def test_a_function_of_the_users_that_changes_takes_nothing_of_what_is_kept(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    changes = {"length": 20, "sampler": {"guide": {"method": "best_of", "candidates": 8, "scorer": "run_score:f"}}}
    (tmp_path / "run_score.py").write_text("def f(sequences, labels):\n    return [s.count('G') for s in sequences]\n")
    plain = run(data, tmp_path / "plain", length=20)
    made = run(data, tmp_path, **changes)
    assert made["sequence"].str.count("G").mean() > plain["sequence"].str.count("G").mean() + 1
    counted = Counted(monkeypatch)
    run(data, tmp_path, **changes)
    assert counted.drawn == 0
    (tmp_path / "run_score.py").write_text("def f(sequences, labels):\n    return [s.count('GC') for s in sequences]\n")
    run(data, tmp_path, **changes)
    assert counted.drawn == 30


def test_what_may_not_guide_is_refused_before_anything_is_drawn(data, tmp_path, monkeypatch):
    counted = Counted(monkeypatch)
    guided = {"length": 20, "sampler": GUIDED["smc"]}
    with pytest.raises(UserError, match="holds the oracle judge, and only the guide may steer"):
        run(data, tmp_path, **guided, guide=oracle_in(tmp_path / "judge", "judge"))
    with pytest.raises(UserError, match="label b: the oracle guide, which is to guide, does not know it; it knows a"):
        run(data, tmp_path, **guided, guide=oracle_in(tmp_path / "guide", labels=["a"]))
    with pytest.raises(UserError, match="is to guide, but sampler.guide.method is null"):
        run(data, tmp_path, length=20, guide=tmp_path / "guide")
    with pytest.raises(UserError, match="scorer is oracle, but no oracle is given"):
        run(data, tmp_path, **guided)
    assert counted.drawn == 0


def test_headers_name_the_sampler(data, tmp_path):
    made = run(data, tmp_path, length=20, name="mine")
    told = read_fasta(tmp_path / "s.fasta")["description"]
    row = made.iloc[0]
    assert told[0] == f"label={row['label']} seed={row['seed']} sampler=mine bits_per_base={row['bits_per_base']:.4f}"
    run(data, tmp_path, length=20)
    assert "sampler" not in read_fasta(tmp_path / "s.fasta")["description"][0]
