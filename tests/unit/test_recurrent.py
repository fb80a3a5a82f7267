"""The recurrent backbone: what its predictions depend on, what it learns from, and what it is exact about."""

import itertools
import re
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from sampling_cases import FALSE_ALARM, chi_square, sequence_counts, settings
from test_training import repeats, run
from toy_models import all_sequences
from toy_settings import SETTINGS
from toy_windows import windows

from diffusion_bert.backbones.load import build_model
from diffusion_bert.diffusion import cross_entropy
from diffusion_bert.errors import UserError
from diffusion_bert.likelihood import bits_per_base
from diffusion_bert.sampling.generate import generate
from diffusion_bert.sampling.guide import Scorer
from diffusion_bert.sampling.predict import Predictor
from diffusion_bert.sampling.probability import bits_under_sampler
from diffusion_bert.sampling.refine import confidence
from diffusion_bert.tables import WINDOWS, write_parquet
from diffusion_bert.tokens import BaseTokenizer
from diffusion_bert.training.checkpoints import Denoiser, load_model_folder
from diffusion_bert.training.objective import EveryToken, objective_of
from diffusion_bert.training.optimiser import optimisers
from diffusion_bert.training.train import train

RECURRENT = {
    "backbone": "recurrent",
    "dropout": 0.0,
    "architecture": {"embedded": 8, "kmer": 3, "width": 12, "layers": 2, "mixed": 16, "expansion": 2},
}
TOKENIZER = BaseTokenizer(["a", "b"])
IS_BASE = torch.from_numpy(TOKENIZER.is_base)


def build(seed=0, **changes):
    torch.manual_seed(seed)
    model = build_model({**RECURRENT, "architecture": {**RECURRENT["architecture"], **changes}}, TOKENIZER, 12).eval()
    for parameter in model.parameters():  # so that nothing hides behind a zero
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def framed(sequences, labels=None):
    ids, attention = TOKENIZER.frame(TOKENIZER.encode(sequences), labels or ["a"] * len(sequences))
    return torch.from_numpy(ids), torch.from_numpy(attention)


@torch.no_grad()
def logits(model, ids, attention, **right):
    return model(input_ids=ids, attention_mask=attention, **right).logits[:, TOKENIZER.content]


def as_denoiser(model, left_to_right=True):
    return Denoiser(model, TOKENIZER, settings={"left_to_right": left_to_right})


def changed_by_each_base(model, **right):
    """(L, L) bool: whether the prediction at a column changes with the base at a row, the rest as it is."""
    sequence = "ACGTTGCATC"
    ids, attention = framed([sequence])
    before = logits(model, ids, attention, **right)
    rows = []
    for place in range(len(sequence)):
        other = ids.clone()
        other[0, 2 + place] = TOKENIZER.mask_id
        rows.append((logits(model, other, attention, **right) - before).abs().amax(-1)[0] > 1e-7)
    return torch.stack(rows)


class TestWhatAPredictionDependsOn:
    def test_on_all_other_bases_and_not_on_its_own(self):
        assert torch.equal(changed_by_each_base(build()), ~torch.eye(10, dtype=torch.bool))

    def test_from_left_to_right_on_those_before_it(self):
        ids, _ = framed(["ACGTTGCATC"])
        changed = changed_by_each_base(build(), right_ids=ids[:0])
        assert torch.equal(changed, torch.ones(10, 10).triu(1).bool())

    @pytest.mark.parametrize("place", [0, 4, 9])
    def test_from_left_to_right_is_from_masks_on_the_right(self, place):
        model = build()
        sequences, labels = ["ACGTTGCATC", "TTGCA", "GGGACCCATT"], ["a", None, "b"]
        ids, attention = framed(sequences, labels)
        left = logits(model, ids, attention, right_ids=ids[:0])
        hidden = ids.clone()
        hidden[:, 2 + place :] = torch.where(IS_BASE[hidden[:, 2 + place :]], TOKENIZER.mask_id, hidden[:, 2 + place :])
        seen = logits(model, hidden, attention)
        for row, sequence in enumerate(sequences):
            if place < len(sequence):
                torch.testing.assert_close(left[row, place], seen[row, place], atol=1e-5, rtol=1e-5)

    def test_rows_that_see_their_right_and_rows_that_do_not_in_one_batch(self):
        model = build()
        ids, attention = framed(["ACGTTGCATC", "TTGCA", "GGGACCCATT"], ["a", "b", "b"])
        mixed = logits(model, ids, attention, right_ids=ids[:1])
        torch.testing.assert_close(mixed[:1], logits(model, ids, attention)[:1], atol=1e-5, rtol=1e-5)
        alone = logits(model, ids, attention, right_ids=ids[:0])
        torch.testing.assert_close(mixed[1:], alone[1:], atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("kmer", [0, 1, 2, 5])
    def test_which_kmer_a_base_is_read_with(self, kmer):
        model = build(kmer=kmer)
        ids, _ = framed(["ACGTNAACC", "GATTACAGA"])
        given = model._read(ids, ids[:, 1])
        plain = model.tokens(torch.nn.functional.pad(ids[:, :-1], (1, 0))) + model.tokens(ids[:, 1]).unsqueeze(1)
        for row, sequence in enumerate(["ACGTNAACC", "GATTACAGA"]):
            for place in range(len(sequence) + 1):
                before = sequence[max(0, place - kmer) : place]
                if not kmer:
                    expected = torch.zeros(8)
                elif len(before) < kmer or "N" in before:
                    expected = model.kmers.weight[4**kmer]
                else:
                    expected = model.kmers.weight[sum("ACGT".index(b) * 4**i for i, b in enumerate(before))]
                torch.testing.assert_close((given - plain)[row, 2 + place], expected)

    def test_what_the_right_stream_reads_instead(self):
        model = build()
        ids, attention = framed(["ACGTTGCATC"])
        other = ids.clone()
        other[0, 2:7] = TOKENIZER.mask_id
        changed = (logits(model, ids, attention, right_ids=other) - logits(model, ids, attention)).abs().amax(-1)[0]
        assert (changed > 1e-7).tolist() == [True] * 4 + [False] * 6  # those with a base that is hidden on their right

    def test_the_right_stream_reads_the_reverse_complement(self):
        ids, attention = framed(["ACGTN", "AACCGGTTNA"])
        turned = build().turned(ids, attention)
        assert TOKENIZER.decode(turned.numpy()) == ["NACGT", "TNAACCGGTT"]
        assert torch.equal(turned[:, :2], ids[:, :2])
        assert torch.equal(turned[0, 7:], ids[0, 7:])


class TestEveryToken:
    def test_its_loss_is_the_bound(self):
        """All masks there are, each with its probability, against the bound by counts and sets."""
        model, sequence = build(), "GATC"
        ids, attention = framed([sequence])
        maskable, length = IS_BASE[ids], len(sequence)
        every, bound = 0.0, 0.0
        for count in range(length + 1):
            sets = list(itertools.combinations(range(length), count))
            for chosen in sets:
                hidden, masked = ids.clone(), torch.zeros_like(maskable)
                masked[0, [2 + place for place in chosen]] = True
                hidden[masked] = TOKENIZER.mask_id
                with torch.no_grad():
                    out = model(input_ids=hidden, attention_mask=attention).logits
                every += float(cross_entropy(out, ids, maskable, IS_BASE)) / len(sets) / (length + 1)
                if count:
                    bound += float(cross_entropy(out, ids, masked, IS_BASE)) / len(sets) / count
        assert every == pytest.approx(bound, rel=1e-5)

    def test_what_is_hidden(self):
        ids, _ = framed(["ACGTTGCATC"] * 1200)
        maskable = IS_BASE[ids]
        hidden = EveryToken(2 / 3).hide(ids, maskable, TOKENIZER.mask_id, torch.Generator().manual_seed(1))
        assert torch.equal(hidden.counted, maskable)
        assert set(hidden.weight.tolist()) == set(hidden.exact.tolist()) == {1.0}
        assert torch.equal(hidden.inputs[400:], ids[400:])
        assert len(hidden.right) == 533  # of 800 rows read from left to right, a sixth see what is ahead
        assert torch.equal(hidden.right[:400], hidden.inputs[:400])
        for rows in (hidden.right[:400], hidden.right[400:]):
            counts = np.bincount((rows == TOKENIZER.mask_id).sum(1), minlength=11)
            assert counts / len(rows) == pytest.approx(np.full(11, 1 / 11), abs=0.06)  # uniform in 0..L

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_of_one_kind_alone(self, share):
        ids, _ = framed(["ACGTTGCATC"] * 8)
        hidden = EveryToken(share).hide(ids, IS_BASE[ids], TOKENIZER.mask_id, torch.Generator().manual_seed(1))
        assert len(hidden.right) == (1 if share else 8)
        assert torch.equal(hidden.inputs, ids) == (share == 1)

    def test_a_model_that_sees_what_it_predicts_cannot(self):
        asked = {**SETTINGS, "masking": {**SETTINGS["masking"], "left_to_right": 0.5}}
        convnet = build_model(SETTINGS, TOKENIZER, 12)
        with pytest.raises(UserError, match=r"masking.left_to_right is 0.5, but the backbone convnet sees"):
            objective_of(asked, convnet, 1.0)
        assert objective_of(SETTINGS, convnet, 1.0).left_to_right == 0
        assert objective_of(SETTINGS, build(), 1.0).left_to_right == 0.9


class TestExactProbabilities:
    @pytest.mark.parametrize("label", ["a", None])
    def test_they_sum_to_one(self, label):
        sequences = all_sequences(5)
        bits, error = bits_per_base(as_denoiser(build()), sequences, [label] * len(sequences), samples=3)
        assert (2.0 ** (-5 * bits)).sum() == pytest.approx(1, abs=1e-5)
        assert np.ptp(bits) > 0.1
        assert not error.any()

    def test_they_are_those_of_the_order_that_generates(self):
        denoiser, sequences, labels = as_denoiser(build()), ["ACGTTGCATC", "GGATT", "C"], ["a", "b", None]
        bits, _ = bits_per_base(denoiser, sequences, labels)
        order = settings(order="left_to_right", steps=1000)
        assert bits_under_sampler(denoiser, sequences, labels, order) == pytest.approx(bits, abs=1e-5)

    def test_unknown_bases_cost_nothing(self):
        bits, _ = bits_per_base(as_denoiser(build()), ["ACGNTG", "NNN"], ["a", "a"])
        assert np.isfinite(bits[0])
        assert np.isnan(bits[1])

    def test_a_model_that_has_not_learned_it_has_the_bound(self):
        _, error = bits_per_base(as_denoiser(build(), left_to_right=False), ["ACGTTGCATC"], ["a"])
        assert error[0] > 0


class TestWalk:
    @pytest.mark.parametrize("guidance", [0.0, 1.5])
    @pytest.mark.parametrize(
        "templates", [None, ["NNGATWNNNCCN", "NNNNNNNNNNNN", "ACGTACGTACGT"]], ids=["free", "templates"]
    )
    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"top_p": 0.8, "temperature": 0.7},
            {"refine": {"passes": 2, "fraction": 0.4, "steps": 100}},
        ],
        ids=["plain", "truncated", "refined"],
    )
    def test_it_draws_what_full_passes_draw(self, monkeypatch, guidance, templates, more):
        order = settings(order="left_to_right", steps=1000, guidance=guidance, **more)
        asked = {"labels": ["a", "b", "a"], "lengths": [12] * 3, "sampler": order, "seed": 5, "templates": templates}
        walked = generate(as_denoiser(build()), **asked)
        monkeypatch.setattr(Denoiser, "walks", False)
        pd.testing.assert_frame_equal(walked, generate(as_denoiser(build()), **asked))

    @pytest.mark.parametrize("kmer", [0, 1, 10])
    def test_it_reads_the_kmers_of_full_passes(self, kmer):
        model = build(kmer=kmer)
        ids, attention = framed(["ACGTTGCATCGA", "GGNACCCATTAC"], ["a", "b"])
        walk, rows = model.walk(ids, attention), torch.arange(2)
        for place in range(12):
            full = logits(model, ids, attention)[:, place]
            torch.testing.assert_close(walk.logits(rows), full, atol=1e-5, rtol=1e-5)
            walk.read(ids[:, 2 + place])

    def test_it_costs_two_passes(self):
        passes = []
        model = build()
        model.register_forward_hook(lambda *_: passes.append(1))
        model.stream.register_forward_hook(lambda _, given, __: passes.append(given[0].shape[:2]))
        order = settings(order="left_to_right", steps=1000)
        generate(as_denoiser(model), labels=["a"] * 4, lengths=[12] * 4, sampler=order, seed=5)
        assert passes == [(4, 15), (4, 3), *[(4, 1)] * 12]

    def test_it_goes_one_base_at_a_time_whatever_the_steps(self):
        asked = {"labels": ["a"] * 4, "lengths": [12] * 4, "seed": 5}
        one, other = (
            generate(as_denoiser(build()), **asked, sampler=settings(order="left_to_right", steps=steps))
            for steps in (4, 1000)
        )
        pd.testing.assert_frame_equal(one, other)

    @pytest.mark.parametrize(
        ("left_to_right", "remask", "order"),
        [(True, None, "left_to_right"), (False, None, "ancestral"), (True, "rescaled", "ancestral")],
    )
    def test_the_order_of_a_model_where_none_is_given(self, left_to_right, remask, order):
        asked = {"labels": ["a"] * 4, "lengths": [12] * 4, "seed": 5}
        own, named = (
            generate(
                as_denoiser(build(), left_to_right), **asked, sampler=settings(order=name, remask={"strategy": remask})
            )
            for name in (None, order)
        )
        pd.testing.assert_frame_equal(own, named)

    def test_sequences_have_the_law_of_the_exact_probabilities(self):
        denoiser = as_denoiser(build())
        order = settings(order="left_to_right", steps=1000)
        made = generate(denoiser, labels=["a"] * 8000, lengths=[2] * 8000, sampler=order, seed=1, batch_size=8000)
        sequences = all_sequences(2)
        bits, _ = bits_per_base(denoiser, sequences, ["a"] * 16)
        assert chi_square(sequence_counts(made["sequence"], 2), 2.0 ** (-2 * bits)) > FALSE_ALARM

    def test_particles_walk_and_have_the_tilted_law(self):
        denoiser, sequences = as_denoiser(build()), all_sequences(3)
        score = dict(zip(sequences, np.random.default_rng(5).normal(size=64), strict=True))
        made = generate(
            denoiser,
            labels=["a"] * 800,
            lengths=[3] * 800,
            sampler=settings(
                order="left_to_right",
                steps=1000,
                guide={"method": "smc", "candidates": 32, "resamplings": 2, "strength": 1.0},
            ),
            scorer=Scorer(lambda made, labels: [score[sequence] for sequence in made], "the table"),
            seed=11,
            batch_size=26_000,
        )
        plain = 2.0 ** (-3 * bits_per_base(denoiser, sequences, ["a"] * 64)[0])
        law = plain * np.exp([score[sequence] for sequence in sequences])
        found = sequence_counts(made["sequence"], 3)
        assert chi_square(found, law / law.sum()) > FALSE_ALARM
        assert chi_square(found, plain) < 1e-9


def test_all_tokens_are_judged_from_all_others_in_one_pass():
    model = build()
    predictor = Predictor(as_denoiser(model), ["a", "b"], 10, 0.0)
    tokens = torch.from_numpy(TOKENIZER.encode(["ACGTTGCATC", "GGGACCCATT"])).long()
    found = confidence(tokens, torch.tensor([1, 0]), predictor)
    assert predictor.forwards == 1
    for place in range(10):
        hidden = tokens.clone()
        hidden[:, place] = TOKENIZER.mask_id
        where = torch.zeros(2, 10, dtype=torch.bool)
        where[:, place] = True
        log_probs = predictor(hidden, torch.tensor([1, 0]), where)
        column = torch.searchsorted(predictor.allowed, tokens[[1, 0], place])
        torch.testing.assert_close(found[:, place], log_probs.gather(1, column[:, None])[:, 0].exp())


def test_muon_leaves_recurrent_layers_to_adamw_which_decays_their_matrices():
    model = build()
    muon, adamw = optimisers(model, "muon", 0.01, 0.1)
    of_muon = {id(p) for group in muon.param_groups for p in group["params"]}
    assert not of_muon & {id(p) for p in model.stream.parameters()}
    layers = model.of_left, model.of_right, model.ffn_in, model.ffn_out
    assert {id(layer.weight) for layer in layers} == of_muon
    everything = of_muon | {id(p) for group in adamw.param_groups for p in group["params"]}
    assert everything == {id(p) for p in model.parameters()}
    of_stream = {id(p) for name, p in model.stream.named_parameters() if name.startswith("weight")}
    assert {id(p) for p in adamw.param_groups[0]["params"]} == of_stream
    assert [id(p) for p in adamw.param_groups[1]["params"]] == [id(model.kmers.weight)]
    assert [group["weight_decay"] for group in adamw.param_groups] == pytest.approx([0.1, 0.3, 0.0])


@pytest.fixture
def data(tmp_path):
    write_parquet(repeats(200, 0), tmp_path / "train.parquet", WINDOWS)
    write_parquet(repeats(50, 1), tmp_path / "validation.parquet", WINDOWS)
    return tmp_path / "train.parquet", tmp_path / "validation.parquet"


class TestTraining:
    @pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
    def test_it_learns_and_says_what_it_can(self, data, tmp_path, share):
        masking = {**SETTINGS["masking"], "left_to_right": share}
        curve = run(data, tmp_path / "model", **RECURRENT, masking=masking, steps=120, validate_every=40)
        assert curve["validation_bits_per_base"].iloc[-1] < 1.2
        denoiser = load_model_folder(tmp_path / "model", device="cpu")
        assert denoiser.leave_one_out
        assert denoiser.left_to_right == (share > 0)

    def test_validation_is_exact(self, data, tmp_path):
        curve = run(data, tmp_path / "model", **RECURRENT, steps=20, validate_every=10)
        held_out = repeats(50, 1)
        bits, _ = bits_per_base(
            load_model_folder(tmp_path / "model", device="cpu"),
            held_out["sequence"].tolist(),
            held_out["label"].tolist(),
        )
        assert bits.mean() == pytest.approx(curve["validation_bits_per_base"].min(), abs=1e-5)

    @pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
    def test_training_bits_are_those_of_the_predictions(self, data, tmp_path, share):
        """At the first step, which moves nothing, those of the two ways of reading, by their shares."""
        masking = {**SETTINGS["masking"], "left_to_right": share}
        first = {"steps": 1, "validate_every": 1, "learning_rate": 1e-6, "batch_size": 100}
        first |= {"reverse_complement": False, "label_dropout": 0.0}  # as validation reads
        curve = run(data, tmp_path / "model", **RECURRENT, masking=masking, **first)
        denoiser, held_out = load_model_folder(tmp_path / "model", device="cpu"), repeats(50, 1)

        def bits(left_to_right):
            denoiser.settings["left_to_right"] = left_to_right
            return bits_per_base(denoiser, held_out["sequence"].tolist(), held_out["label"].tolist(), samples=16)[0]

        expected = share * bits(True).mean() + (1 - share) * bits(False).mean()
        assert curve["train_bits_per_base"].iloc[0] == pytest.approx(expected, abs=0.1)

    def test_unequal_windows_in_parts_are_the_batch(self, tmp_path):
        frame = repeats(200, 0)
        ends = np.random.default_rng(2).integers(4, 13, len(frame))
        sequences = [row[:end] for row, end in zip(frame["sequence"], ends, strict=True)]
        frame = windows(sequences, frame["label"].tolist())
        write_parquet(frame, tmp_path / "train.parquet", WINDOWS)
        write_parquet(frame[:50], tmp_path / "validation.parquet", WINDOWS)
        data = tmp_path / "train.parquet", tmp_path / "validation.parquet"
        short = {**RECURRENT, "steps": 5, "validate_every": 5, "optimizer": "adamw", "learning_rate": 1e-4}
        whole = run(data, tmp_path / "whole", **short)
        cut = run(data, tmp_path / "cut", gradient_accumulation=3, **short)
        pd.testing.assert_frame_equal(cut, whole, rtol=1e-4)

    def test_it_is_adapted_but_has_no_layers_to_freeze(self, data, tmp_path):
        run(data, tmp_path / "model", **RECURRENT, steps=20, validate_every=20)
        from_it = {**SETTINGS, "backbone": str(tmp_path / "model"), "steps": 10, "validate_every": 10}
        for finetune, refused in (({"method": "lora"}, False), ({"frozen_layers": 1}, True)):
            settings = {**from_it, "finetune": {**SETTINGS["finetune"], **finetune}}
            with pytest.raises(UserError, match="Freeze at most 0") if refused else nullcontext():
                train(*data, settings, 1, tmp_path / "adapted", backbone=tmp_path / "model", device="cpu")
        before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("model", "adapted"))
        assert torch.equal(before["stream.weight_hh_l0"], after["stream.weight_hh_l0"])
        assert not torch.equal(before["of_left.weight"], after["of_left.weight"])

    @pytest.mark.parametrize(("share", "asked"), [(1.0, "tokens read from left to right"), (0.0, "masked tokens")])
    def test_a_model_that_starts_from_it_checks_what_it_has_learned(self, data, tmp_path, caplog, share, asked):
        caplog.set_level("INFO")
        masking = {**SETTINGS["masking"], "left_to_right": share}
        run(data, tmp_path / "model", **RECURRENT, masking=masking, steps=60, validate_every=60)
        settings = {**SETTINGS, "backbone": str(tmp_path / "model"), "steps": 1, "validate_every": 1}
        train(*data, settings, 1, tmp_path / "next", backbone=tmp_path / "model", device="cpu")
        nats, of, guess = re.search(r"([\d.]+) nats on ([\w ]+) before training.* has ([\d.]+)", caplog.text).groups()
        assert of == asked
        assert float(nats) < float(guess)
        weights = load_file(tmp_path / "model/model.safetensors")
        save_file({name: 5 * torch.randn(w.shape) for name, w in weights.items()}, tmp_path / "model/model.safetensors")
        with pytest.raises(UserError, match=f"on {asked} of the validation windows the backbone does no better"):
            train(*data, settings, 1, tmp_path / "next", backbone=tmp_path / "model", device="cpu")

    def test_a_classifier_beside_it(self, data, tmp_path):
        curve = run(
            data, tmp_path / "model", **RECURRENT, comb_factor=1.0, label_dropout=0.5, steps=60, validate_every=60
        )
        assert np.isfinite(curve["validation_bits_per_base"].iloc[-1])
        assert load_model_folder(tmp_path / "model", device="cpu").model.config.classes == 2
