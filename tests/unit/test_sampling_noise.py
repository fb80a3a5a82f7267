"""The counter-based random numbers: the published hash, uniform, independent, a function of their key alone."""

import numpy as np
import pytest
import torch
from sampling_cases import FALSE_ALARM, chi_square

from diffusion_bert.sampling.noise import DRAW, ORDER, mix, uniforms

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)


def keys(n, first=0):
    return torch.arange(first, first + n)


def test_hash_is_splitmix64():
    # The first outputs of the published generator from the state 1234567.
    state = torch.tensor([1234567]) + GOLDEN * torch.tensor([1, 2, 3])
    assert [int(x) % 2**64 for x in mix(state)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_numbers_are_uniform():
    u = uniforms(keys(1000), 200, purpose=DRAW, round_=0).numpy()
    assert u.dtype == np.float64
    assert u.min() >= 0
    assert u.max() < 1
    for scale in (1, 2**20):  # the leading bits and later ones
        counts = np.bincount((u * scale % 1 * 256).astype(int).ravel(), minlength=256)
        assert chi_square(counts, np.full(256, 1 / 256)) > FALSE_ALARM


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("the next position", lambda: uniforms(keys(2000), 101, purpose=DRAW, round_=0)[:, 1:]),
        ("the next sequence", lambda: uniforms(keys(2000, 1), 100, purpose=DRAW, round_=0)),
        ("another purpose", lambda: uniforms(keys(2000), 100, purpose=ORDER, round_=0)),
        ("the next pass", lambda: uniforms(keys(2000), 100, purpose=DRAW, round_=1)),
    ],
)
def test_numbers_of_different_keys_are_independent(name, other):
    one, two = uniforms(keys(2000), 100, purpose=DRAW, round_=0).numpy(), other().numpy()
    cells = (one * 16).astype(int) * 16 + (two * 16).astype(int)
    assert chi_square(np.bincount(cells.ravel(), minlength=256), np.full(256, 1 / 256)) > FALSE_ALARM, name


def test_a_number_depends_on_its_own_key_only():
    whole = uniforms(keys(10), 50, purpose=DRAW, round_=3)
    part = uniforms(keys(4, 5), 20, purpose=DRAW, round_=3)
    assert torch.equal(whole[5:9, :20], part)
    assert len(whole.unique()) == 500
