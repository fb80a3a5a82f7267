import pytest
import torch
from toy_windows import windows

from diffusion_bert.tokens import BaseTokenizer
from diffusion_bert.training.data import FixedMasks, RowStream, TokenisedWindows


class TestData:
    @pytest.fixture
    def tokenised(self):
        frame = windows(["ACGTN", "AACC", "GAT"], ["a", "b", "a"], strands=[".", "+", "."])
        return TokenisedWindows.of(frame, BaseTokenizer(["a", "b"]), "windows", torch.device("cpu"))

    def test_rows_are_no_longer_than_their_longest(self, tokenised):
        ids, attention, maskable = tokenised.rows(torch.tensor([2, 1]))
        assert ids.tolist() == [[1, 10, 7, 5, 8, 2, 0], [1, 11, 5, 5, 6, 6, 2]]
        assert attention.sum(-1).tolist() == [6, 7]
        assert maskable.sum(-1).tolist() == [3, 4]
        assert tokenised.ids.dtype == torch.uint8

    def test_reverse_complement(self, tokenised):
        ids, _, _ = tokenised.rows(torch.tensor([0, 1, 2]))
        flipped = tokenised.flip(ids, torch.tensor([True, False, True]))
        assert tokenised.tokenizer.decode(flipped.numpy()) == ["NACGT", "AACC", "ATC"]
        assert flipped[:, 1].tolist() == [10, 11, 10]
        assert torch.equal(tokenised.flip(flipped, torch.tensor([True, False, True])), ids)

    def test_only_windows_of_unknown_strand_are_flipped(self, tokenised):
        generator = torch.Generator().manual_seed(0)
        seen = [set(), set(), set()]
        for _ in range(40):
            ids, _, maskable = tokenised.training_batch(torch.tensor([0, 1, 2]), generator, 0.0, True)
            assert torch.equal(maskable, tokenised.is_base[ids])
            for row, sequence in enumerate(tokenised.tokenizer.decode(ids.numpy())):
                seen[row].add(sequence)
        assert seen == [{"ACGTN", "NACGT"}, {"AACC"}, {"GAT", "ATC"}]
        for _ in range(10):
            ids, _, _ = tokenised.training_batch(torch.tensor([0, 1, 2]), generator, 0.0, False)
            assert tokenised.tokenizer.decode(ids.numpy()) == ["ACGTN", "AACC", "GAT"]

    def test_labels_are_dropped_at_the_rate_asked_for(self, tokenised):
        generator = torch.Generator().manual_seed(0)
        ids, _, _ = tokenised.training_batch(torch.zeros(4000, dtype=torch.long), generator, 0.25, False)
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
        masks = [FixedMasks.of(held_out, None, seed, batch_size=64) for seed in (1, 1, 2)]
        assert all(torch.equal(a[2], b[2]) for a, b in zip(masks[0].parts, masks[1].parts, strict=True))
        assert not torch.equal(masks[0].parts[0][2], masks[2].parts[0][2])
        counts = torch.cat([masked.sum(-1) for _, _, masked in masks[0].parts])
        assert torch.bincount(counts).tolist() == [0] + [50] * 10
        assert masks[0].tokens == 5000
        ids = torch.cat([ids for _, ids, _ in masks[0].parts])
        assert 90 < int((ids[counts <= 4, 2] == 5).sum()) < 110  # whichever windows, of 200 masked that little
        assert FixedMasks.of(held_out, 7, 1, batch_size=64).tokens == 70
