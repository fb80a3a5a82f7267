"""How long a training lasts, in steps or in time: how much of it is used up, and when to validate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffusion_bert.errors import UserError

VALIDATIONS = 20  # in all, where the settings do not say how often


@dataclass
class Budget:
    """Either ``steps`` or ``seconds``, and what is used of them: steps done (``step``) and seconds of training up to
    there (``used``), those of earlier runs included. validate_every: steps, or None."""

    steps: int | None
    seconds: float | None
    validate_every: int | None
    step: int = 0
    used: float = 0.0

    @classmethod
    def of(cls, settings: Mapping[str, Any], windows: int) -> "Budget":
        """``steps``, as many as so many ``epochs`` over the windows take, or ``minutes``, of a model's config entry.

        Raises UserError unless exactly one of the three is set.
        """
        steps, epochs, minutes = settings["steps"], settings["epochs"], settings["minutes"]
        if [steps, epochs, minutes].count(None) != 2:
            raise UserError(
                f"steps is {steps}, epochs is {epochs} and minutes is {minutes}: exactly one says how long to train.",
                "Set one of them to a number and the others to null.",
            )
        if epochs is not None:
            steps = max(1, math.ceil(epochs * windows / settings["batch_size"]))
        return cls(steps, None if minutes is None else 60 * minutes, settings["validate_every"])

    @property
    def done(self) -> float:
        """The share that is used, 0 to 1."""
        return self.step / self.steps if self.steps is not None else min(1.0, self.used / self.seconds)

    def steps_in_all(self) -> int:
        """The number of steps; where the budget is time, as many as it will have been at the speed so far."""
        if self.steps is not None:
            return self.steps
        return round(self.step / self.done) if self.done else 1

    def validation_due(self, validations: int) -> bool:
        """Whether it is time after this step, so many validations having been made: every so many steps, else
        ``VALIDATIONS`` times in all."""
        if self.validate_every or self.steps is not None:
            return self.step % (self.validate_every or max(1, self.steps // VALIDATIONS)) == 0
        return self.done >= (validations + 1) / VALIDATIONS
