"""Random numbers that are a function of what they are for, not of what was drawn before.

A sequence is generated from its own seed alone: the number used at one position in one pass is a hash of (sequence
seed, purpose, pass, position). Batch size, order of the batches and sharding therefore cannot change a sequence.

The hash is splitmix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"), applied to whole
tensors: int64 arithmetic wraps modulo 2^64, which is what the unsigned original does.
"""

import torch

# What a number is for. One purpose never sees another's numbers.
ORDER = 0
DRAW = 1
LENGTH = 2  # of a token, where tokens differ in it
COUNT = 3  # how many tokens a sequence has
LAYOUT = 4  # lengths of tokens, masked ones too, where a template must be spelled; new in each step
REMASK = 5  # which tokens are masked again or revealed, where they may be masked again; new in each step
# As DRAW and LENGTH, in steps between which tokens may be masked again or particles chosen; new in each step.
REDRAW = 6
RELENGTH = 7
RESAMPLE = 8  # which particles live on; one number a sequence and comparison
# Stands as the pass (see ``step_of``) of draws that are only scored.
GUESSED = -1


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _shifted(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical right shift: torch's is arithmetic, so the copies of the sign bit are cut off."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def mix(x: torch.Tensor) -> torch.Tensor:
    """The splitmix64 finaliser: a bijection of 64-bit integers in which each input bit moves half of the output."""
    x = (x ^ _shifted(x, 30)) * _FIRST
    x = (x ^ _shifted(x, 27)) * _SECOND
    return x ^ _shifted(x, 31)


def step_of(round_: int, number: int) -> int:
    """One number for a step of a pass, to be given as ``round_`` where each step needs numbers of its own."""
    return (round_ << 32) + number


def uniforms(seeds: torch.Tensor, length: int, *, purpose: int, round_: int) -> torch.Tensor:
    """Uniform float64 numbers in [0, 1), one a sequence and position.

    seeds: (B,) int64, one a sequence. length: positions. purpose: one of the constants above. round_: 0 for the first
    pass, then the number of the refinement pass. Returns (B, length), on the device of ``seeds``.
    """
    positions = torch.arange(1, length + 1, device=seeds.device)
    streams = mix(mix(seeds + _GOLDEN) ^ mix(torch.full_like(seeds, (round_ + 1) * 256 + purpose)))
    bits = mix(mix(streams[:, None] + positions * _GOLDEN))
    return _shifted(bits, 11).to(torch.float64) * 2.0**-53  # 53 bits: every value is exact and 1 is never reached
