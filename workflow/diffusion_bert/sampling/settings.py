"""A sampler's settings, checked once at the door."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from diffusion_bert.errors import UserError
from diffusion_bert.sampling.order import ORDERS, EntropyBounded, Planned, Scored


@dataclass(frozen=True)
class Refinement:
    """passes: at most so many. Re-masked are the tokens whose confidence is below ``threshold``, or else the lowest
    ``fraction`` of the tokens (rounded up). steps: reverse steps of one pass."""

    passes: int
    threshold: float | None
    fraction: float | None
    steps: int


# What a setting is where it is not given: the defaults of the config's schema, but for the template.
DEFAULTS: dict[str, Any] = {
    "order": None,
    "steps": 64,
    "entropy_budget": 2.0,
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": None,
    "guidance": 0.0,
    "remask": {"strategy": None, "eta": 0.02},
    "refine": {"passes": 0, "threshold": None, "fraction": None, "steps": 8},
    "guide": {"method": None, "scorer": "oracle", "candidates": 8, "strength": 1.0, "resamplings": 8},
}
STRATEGIES = ("capped", "rescaled", "confidence")
BEST_OF, SMC = METHODS = ("best_of", "smc")


@dataclass(frozen=True)
class Remasking:
    """How tokens are masked again on the way (``reverse.fill_remasking``): strategy, one of STRATEGIES, or None for not
    at all; eta: how readily, from 0 (never) to 1."""

    strategy: str | None
    eta: float


@dataclass(frozen=True)
class Guide:
    """How a scorer steers (``guide``). method: one of METHODS, or None for not at all. scorer: ``oracle``, or the place
    of a function, package.module:function. candidates: of one sequence, the particles of smc. Of smc alone: strength,
    of the tilt exp(strength x score); resamplings, how often on the way particles are scored."""

    method: str | None
    scorer: str
    candidates: int
    strength: float
    resamplings: int


@dataclass(frozen=True)
class Sampler:
    """How sequences are drawn from a denoiser. order: a name in ``ORDERS``, None for the model's own (``of``). steps:
    of the reverse process, in equal pieces of time. entropy_budget: bits, of the entropy-bounded order, which has no
    use for steps. temperature, top_p, top_k: see ``draw``. guidance: strength w of classifier-free guidance. remask: in
    the first pass. guide: a scorer's.
    """

    order: str | None
    steps: int
    entropy_budget: float
    temperature: float
    top_p: float
    top_k: int | None
    guidance: float
    remask: Remasking
    refine: Refinement
    guide: Guide

    def of(self, left_to_right: bool) -> "Sampler":
        """With an order: where none is given, left to right for a model that reads so, else ancestral (as remasking
        needs it)."""
        if self.order is not None:
            return self
        return replace(self, order="left_to_right" if left_to_right and not self.remask.strategy else "ancestral")

    def reveals(self) -> Planned | Scored:
        """The order itself."""
        return EntropyBounded(self.entropy_budget) if self.order == "entropy_bounded" else ORDERS[self.order]

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "Sampler":
        """From the config's mapping with every key given; UserError names the key that will not do, and the remedy."""
        _check_keys(settings, cls, "sampler")
        _check_keys(settings["refine"], Refinement, "sampler.refine")
        _check_keys(settings["remask"], Remasking, "sampler.remask")
        _check_keys(settings["guide"], Guide, "sampler.guide")
        refine, remask = Refinement(**settings["refine"]), Remasking(**settings["remask"])
        guide = Guide(**settings["guide"])
        sampler = cls(**{**settings, "refine": refine, "remask": remask, "guide": guide})
        if sampler.order is not None and sampler.order not in ORDERS:
            raise UserError(f"sampler.order is {sampler.order!r}.", f"Choose one of {', '.join(ORDERS)}, or null.")
        _check(_whole(sampler.steps, 1), "sampler.steps", sampler.steps, "a whole number of at least 1")
        _check(
            _number(sampler.temperature) and 0 < sampler.temperature < float("inf"),
            "sampler.temperature",
            sampler.temperature,
            "a number above 0 (for the most probable token at every draw, set top_k: 1)",
        )
        _check(
            _number(sampler.top_p) and 0 < sampler.top_p <= 1,
            "sampler.top_p",
            sampler.top_p,
            "a number above 0 and at most 1 (1 leaves the distribution whole)",
        )
        _check(
            sampler.top_k is None or _whole(sampler.top_k, 1),
            "sampler.top_k",
            sampler.top_k,
            "a whole number of at least 1, or null for all tokens",
        )
        _check(
            _number(sampler.guidance) and 0 <= sampler.guidance < float("inf"),
            "sampler.guidance",
            sampler.guidance,
            "a number of at least 0 (0 is no guidance)",
        )
        _check(
            _number(sampler.entropy_budget) and 0 <= sampler.entropy_budget < float("inf"),
            "sampler.entropy_budget",
            sampler.entropy_budget,
            "a number of bits of at least 0",
        )
        _check(
            remask.strategy is None or remask.strategy in STRATEGIES,
            "sampler.remask.strategy",
            remask.strategy,
            f"one of {', '.join(STRATEGIES)}, or null",
        )
        _check(_number(remask.eta) and 0 <= remask.eta <= 1, "sampler.remask.eta", remask.eta, "a number from 0 to 1")
        if remask.strategy is not None and sampler.order not in (None, "ancestral"):
            raise UserError(
                f"sampler.remask is set, but sampler.order is {sampler.order}: only the ancestral order remasks.",
                "Set order: ancestral, or leave remask.strategy null.",
            )
        _check(_whole(refine.passes, 0), "sampler.refine.passes", refine.passes, "a whole number of at least 0")
        _check(_whole(refine.steps, 1), "sampler.refine.steps", refine.steps, "a whole number of at least 1")
        _check(
            refine.threshold is None or (_number(refine.threshold) and 0 <= refine.threshold <= 1),
            "sampler.refine.threshold",
            refine.threshold,
            "a probability, or null",
        )
        _check(
            refine.fraction is None or (_number(refine.fraction) and 0 < refine.fraction <= 1),
            "sampler.refine.fraction",
            refine.fraction,
            "a number above 0 and at most 1, or null",
        )
        if refine.passes and (refine.threshold is None) == (refine.fraction is None):
            raise UserError(
                f"sampler.refine has threshold {refine.threshold} and fraction {refine.fraction}; exactly one must "
                "say which tokens are re-masked.",
                "Set one of them and leave the other null, or set passes: 0.",
            )
        _check_guide(sampler)
        return sampler


def _check_guide(sampler: Sampler) -> None:
    guide = sampler.guide
    _check(
        guide.method is None or guide.method in METHODS,
        "sampler.guide.method",
        guide.method,
        f"one of {', '.join(METHODS)}, or null",
    )
    _check(isinstance(guide.scorer, str), "sampler.guide.scorer", guide.scorer, "oracle, or package.module:function")
    for key in ("candidates", "resamplings"):
        value = getattr(guide, key)
        _check(_whole(value, 1), f"sampler.guide.{key}", value, "a whole number of at least 1")
    _check(
        _number(guide.strength) and 0 <= guide.strength < float("inf"),
        "sampler.guide.strength",
        guide.strength,
        "a number of at least 0",
    )
    if guide.method == SMC and sampler.order == "entropy_bounded":
        raise UserError(
            "sampler.guide.method is smc, but sampler.order is entropy_bounded, which has no steps known ahead at "
            "which particles could be compared.",
            "Choose another order, or method: best_of.",
        )
    if guide.method == SMC and sampler.remask.strategy is not None:
        raise UserError(
            "sampler.guide.method is smc, and sampler.remask is set: what particles were scored by would be masked "
            "again.",
            "Leave remask.strategy null, or choose method: best_of.",
        )


def _check_keys(settings: Mapping[str, Any], kind: type, where: str) -> None:
    names = [field.name for field in fields(kind)]
    for name in settings:
        if name not in names:
            raise UserError(f"{where}.{name} is not a known key.", f"Known are {', '.join(names)}.")
    for name in names:
        if name not in settings:
            raise UserError(f"{where}.{name} is missing.", f"Give all of {', '.join(names)}.")


def _check(good: bool, key: str, value: object, expected: str) -> None:
    if not good:
        raise UserError(f"{key} is {value!r}.", f"Give {expected}.")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
