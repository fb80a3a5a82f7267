"""Masked spans: as many tokens as one by one, but together; and bounds that know nothing of it."""

import itertools

import numpy as np
import pytest
import torch
from toy_settings import SETTINGS
from toy_windows import windows

from diffusion_bert.diffusion import mask
from diffusion_bert.tables import WINDOWS, write_parquet
from diffusion_bert.training.masking import mask_spans, masks_of
from diffusion_bert.training.train import train


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("span", [1, 3, 10])
@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_each_token_is_masked_at_the_schedules_rate_wherever_it_stands(span, alpha):
    n = 20_000
    ids = torch.ones((n, 16), dtype=torch.long)
    maskable = torch.ones_like(ids, dtype=torch.bool)
    inputs, masked = mask_spans(ids, maskable, torch.full((n,), alpha), span, 3, generator())
    error = 5 * (alpha * (1 - alpha) / n) ** 0.5
    assert masked.float().mean(0).numpy() == pytest.approx(np.full(16, 1 - alpha), abs=error)
    assert torch.equal(inputs == 3, masked)


@pytest.mark.parametrize("span", [2, 5])
def test_what_is_masked_lies_in_whole_spans(span):
    ids = torch.ones((400, 60), dtype=torch.long)
    maskable = torch.ones_like(ids, dtype=torch.bool)
    _, masked = mask_spans(ids, maskable, torch.linspace(0.05, 0.99, 400), span, 3, generator())
    lengths = set()
    for row in masked.tolist():
        runs = [(value, len(list(run))) for value, run in itertools.groupby(row)]
        lengths |= {length for value, length in runs[1:-1] if value}  # at the ends a span may reach over
    assert min(lengths) == span
    assert len(lengths) > 3


def test_pairs_of_neighbours_by_brute_force():
    """P(both of two neighbours stay) is alpha ** ((span + 1) / span): no span begins at any of span + 1 places."""
    n, span, alpha = 40_000, 4, 0.6
    ids = torch.ones((n, 9), dtype=torch.long)
    _, masked = mask_spans(ids, torch.ones_like(ids, dtype=torch.bool), torch.full((n,), alpha), span, 3, generator())
    both = (~masked[:, 3] & ~masked[:, 4]).float().mean()
    assert float(both) == pytest.approx(alpha ** ((span + 1) / span), abs=0.012)


def test_the_ends_of_time_and_what_may_not_be_masked():
    ids = torch.arange(24).reshape(2, 12)
    maskable = torch.rand((2, 12), generator=generator()) < 0.6
    inputs, masked = mask_spans(ids, maskable, torch.tensor([0.0, 1.0]), 5, 99, generator())
    assert torch.equal(masked[0], maskable[0])
    assert not masked[1].any()
    assert torch.equal(inputs[~masked], ids[~masked])


def test_a_span_is_given_in_bases():
    ids = torch.ones((50, 30), dtype=torch.long)
    given = (ids, torch.ones_like(ids, dtype=torch.bool), torch.full((50,), 0.5), 3)
    for bases, tokens in ((1.0, 12), (6.0, 2), (40.0, 1)):
        got = masks_of({"kind": "span", "span": 12}, bases)(*given, generator())[1]
        assert torch.equal(got, mask_spans(*given[:3], tokens, 3, generator())[1])
    assert masks_of({"kind": "token", "span": 12}, 1.0) is mask
    with pytest.raises(ValueError, match="masking must be token or span"):
        masks_of({"kind": "word", "span": 1}, 1.0)


def test_the_bound_that_is_reported_does_not_know(tmp_path):
    rng = np.random.default_rng(0)
    for name, n in (("train", 60), ("validation", 20)):
        rows = ["".join(rng.choice(list("AACGT"), 20)) for _ in range(n)]
        write_parquet(windows(rows, ["a", "b"] * (n // 2)), tmp_path / f"{name}.parquet", WINDOWS)

    def run(learning_rate, **changes):
        masking = {**SETTINGS["masking"], **changes}
        settings = {**SETTINGS, "steps": 8, "validate_every": 8, "learning_rate": learning_rate, "masking": masking}
        curve = train(tmp_path / "train.parquet", tmp_path / "validation.parquet", settings, 3, tmp_path / "m")
        return curve.iloc[-1]

    # A model that does not move: the same bound, though the steps' masks are others.
    token, span = run(1e-12, kind="token", span=1), run(1e-12, kind="span", span=5)
    assert token["validation_bits_per_base"] == pytest.approx(span["validation_bits_per_base"], abs=1e-7)
    assert abs(token["train_bits_per_base"] - span["train_bits_per_base"]) > 1e-3
    # One that moves learns by them.
    assert run(0.01, kind="span", span=5)["validation_bits_per_base"] < token["validation_bits_per_base"]
