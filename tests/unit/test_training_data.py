import numpy as np
import pytest
import torch
from toy_windows import windows

from diffusion_bert.tokens import BaseTokenizer, BpeTokenizer, KmerTokenizer
from diffusion_bert.training.data import RowStream, TokenisedWindows
from diffusion_bert.training.validation import Validation


class TestData:
    @pytest.fixture
    def tokenised(self):
        frame = windows(["ACGTN", "AACC", "GAT"], ["a", "b", "a"], strands=[".", "+", "."])
        return TokenisedWindows.of(frame, BaseTokenizer(["a", "b"]), "windows", torch.device("cpu"), True)

    def test_rows_are_no_longer_than_their_longest(self, tokenised):
        ids, attention, maskable = tokenised.rows(torch.tensor([2, 1]))
        assert ids.tolist() == [[1, 10, 7, 5, 8, 2, 0], [1, 11, 5, 5, 6, 6, 2]]
        assert attention.sum(-1).tolist() == [6, 7]
        assert maskable.sum(-1).tolist() == [3, 4]
        assert tokenised.ids.dtype == torch.uint8

    def test_both_strands(self, tokenised):
        ids, _, maskable = tokenised.rows(torch.tensor([0, 1, 2]), torch.tensor([True, True, False]))
        assert tokenised.tokenizer.decode(ids.numpy()) == ["NACGT", "AACC", "GAT"]
        assert ids[:, 1].tolist() == [10, 11, 10]
        assert torch.equal(maskable, tokenised.is_base[ids])

    def test_tokens_of_the_other_strand_are_those_of_its_sequence(self):
        tokenizer = KmerTokenizer(3, ["a"])
        frame = windows(["ACGTTGCA", "TTT"], ["a", "a"])
        both = TokenisedWindows.of(frame, tokenizer, "windows", torch.device("cpu"), True)
        ids, _, _ = both.rows(torch.tensor([0]), torch.tensor([True]))
        assert ids[0, 2:].tolist() == tokenizer.encode(["TGCAACGT"])[0].tolist()

    def test_a_row_is_as_long_as_its_longer_strand(self):
        tokenizer = BpeTokenizer.trained(["AACC"] * 4, vocab_size=12, labels=["a"])
        frame = windows(["AACCAACC", "AACC"], ["a", "a"])  # its other strand, GGTTGGTT, has no merges
        both = TokenisedWindows.of(frame, tokenizer, "windows", torch.device("cpu"), True)
        assert both.lengths.tolist() == [8, 4]
        ids, attention, _ = both.rows(torch.tensor([0, 1]), torch.tensor([False, True]))
        assert tokenizer.decode(ids.numpy()) == ["AACCAACC", "GGTT"]
        assert attention.sum(-1).tolist() == [5, 7]

    def test_the_other_strand_of_single_bases_is_the_row_turned_round(self):
        rng = np.random.default_rng(0)
        sequences = ["".join(rng.choice(list("ACGTN"), n)) + "A" for n in rng.integers(1, 30, 40)]
        tokenizer = BaseTokenizer(["a"])
        both = TokenisedWindows.of(windows(sequences, ["a"] * 40), tokenizer, "windows", torch.device("cpu"), True)
        complement = np.arange(tokenizer.vocab_size)
        complement[tokenizer.base_ids] = tokenizer.base_ids[::-1]
        expected = both.ids.numpy().copy()
        for row, length in zip(expected, both.lengths.tolist(), strict=True):
            row[2 : 2 + length] = complement[row[2 : 2 + length][::-1]]
        assert torch.equal(both.strands[1], torch.from_numpy(expected))

    def test_what_is_turned_and_which_labels_drop_are_the_draws_of_the_generator_in_this_order(self):
        # A run that is taken up again by a newer version must go on as it began.
        rng = np.random.default_rng(1)
        sequences = ["".join(rng.choice(list("ACGTN"), n)) + "A" for n in rng.integers(1, 30, 60)]
        strands = list("." * 30 + "+" * 15 + "-" * 15)
        tokenizer = BaseTokenizer(["a"])
        frame = windows(sequences, ["a"] * 60, strands=strands)
        both = TokenisedWindows.of(frame, tokenizer, "windows", torch.device("cpu"), True)
        rows = torch.from_numpy(rng.permutation(60))
        ids, _, maskable = both.training_batch(rows, torch.Generator().manual_seed(5), 0.3)
        generator = torch.Generator().manual_seed(5)
        turned = (torch.rand(60, generator=generator) < 0.5).tolist()
        dropped = (torch.rand(60, generator=generator) < 0.3).tolist()
        swap = str.maketrans("ACGT", "TGCA")
        expected = [
            sequences[row][::-1].translate(swap) if turn and strands[row] == "." else sequences[row]
            for row, turn in zip(rows.tolist(), turned, strict=True)
        ]
        assert tokenizer.decode(ids.numpy()) == expected
        assert ids[:, 1].tolist() == [9 if drop else 10 for drop in dropped]
        assert maskable.sum(-1).tolist() == [len(sequence) - sequence.count("N") for sequence in expected]

    def test_known_bases_are_counted_not_tokens(self):
        frame = windows(["ACGTTGNA", "TTT"], ["a", "a"])
        held_out = TokenisedWindows.of(frame, KmerTokenizer(3, ["a"]), "windows", torch.device("cpu"))
        assert Validation.of(held_out, None, 1, batch_size=64).bases == 10

    def test_only_windows_of_unknown_strand_are_flipped(self, tokenised):
        generator = torch.Generator().manual_seed(0)
        seen = [set(), set(), set()]
        for _ in range(40):
            ids, _, maskable = tokenised.training_batch(torch.tensor([0, 1, 2]), generator, 0.0)
            assert torch.equal(maskable, tokenised.is_base[ids])
            for row, sequence in enumerate(tokenised.tokenizer.decode(ids.numpy())):
                seen[row].add(sequence)
        assert seen == [{"ACGTN", "NACGT"}, {"AACC"}, {"GAT", "ATC"}]

    def test_without_the_other_strand_windows_stay_as_they_are(self, tokenised):
        frame = windows(["ACGTN", "AACC"], ["a", "b"])
        plain = TokenisedWindows.of(frame, tokenised.tokenizer, "windows", torch.device("cpu"))
        generator = torch.Generator().manual_seed(0)
        for _ in range(10):
            ids, _, _ = plain.training_batch(torch.tensor([0, 1]), generator, 0.0)
            assert plain.tokenizer.decode(ids.numpy()) == ["ACGTN", "AACC"]

    def test_labels_are_dropped_at_the_rate_asked_for(self, tokenised):
        generator = torch.Generator().manual_seed(0)
        ids, _, _ = tokenised.training_batch(torch.zeros(4000, dtype=torch.long), generator, 0.25)
        assert float((ids[:, 1] == tokenised.tokenizer.no_label_id).float().mean()) == pytest.approx(0.25, abs=0.03)
        assert (tokenised.ids[:, 1] == torch.tensor([10, 11, 10])).all()

    def test_every_window_once_an_epoch(self):
        stream = RowStream(10, 4, seed=1)
        rows = torch.cat([stream.rows(step) for step in range(5)])
        for epoch in rows.split(10):
            assert sorted(epoch.tolist()) == list(range(10))
        assert rows[:10].tolist() != rows[10:].tolist()
        assert torch.equal(RowStream(10, 4, seed=1).rows(3), rows[12:16])
        assert len(RowStream(3, 8, seed=1).rows(0)) == 8

    def test_validation_masks_are_fixed_and_fair(self, tokenised):
        frame = windows(["AAAAAAAAAA"] * 250 + ["CCCCCCCCCC"] * 250, ["a"] * 500)
        held_out = TokenisedWindows.of(frame, tokenised.tokenizer, "windows", torch.device("cpu"))
        masks = [Validation.of(held_out, None, seed, batch_size=64) for seed in (1, 1, 2)]
        assert all(torch.equal(a[2], b[2]) for a, b in zip(masks[0].parts, masks[1].parts, strict=True))
        assert not torch.equal(masks[0].parts[0][2], masks[2].parts[0][2])
        counts = torch.cat([masked.sum(-1) for _, _, masked in masks[0].parts])
        assert torch.bincount(counts).tolist() == [0] + [50] * 10
        assert masks[0].bases == 5000
        ids = torch.cat([ids for _, ids, _ in masks[0].parts])
        assert 90 < int((ids[counts <= 4, 2] == 5).sum()) < 110  # whichever windows, of 200 masked that little
        assert Validation.of(held_out, 7, 1, batch_size=64).bases == 70
