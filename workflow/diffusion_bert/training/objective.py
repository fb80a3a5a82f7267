"""What a step learns from: which tokens are hidden, whose prediction counts, and how much.

A model that sees the token it predicts learns from masked tokens, with the bound's weights or others. One that does not
(``leave_one_out``) learns from every token of a pass (``diffusion``), and where its streams may read different things,
from windows read left to right too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from diffusion_bert.diffusion import Schedule, mask, stratified_times, training_weight
from diffusion_bert.errors import UserError
from diffusion_bert.training.masking import Masks, masks_of

TIME_FLOOR = 1e-3  # the smallest time of the schedule that is trained on
LEFT_TO_RIGHT = 0.9  # the share of rows where the settings leave it open
AHEAD = 1 / 6  # the share of rows read from left to right that see some of what is ahead


@dataclass(frozen=True)
class Hidden:
    """A batch as it is predicted from. inputs (B, T): with [MASK]; counted (B, T) bool: the tokens whose prediction
    counts; weight, exact (B,): of a row's tokens in the loss, and in the bound; right (b, T), b <= B: what is in sight
    to the right of a token in the first b rows, where nothing is in the others; None where it is what inputs say."""

    inputs: Tensor
    counted: Tensor
    weight: Tensor
    exact: Tensor
    right: Tensor | None = None


@dataclass(frozen=True)
class Masked:
    """Learning from masked tokens: times of a schedule, a weighting of these, and a way of masking."""

    schedule: Schedule
    weighting: Mapping[str, Any]
    masks: Masks
    left_to_right: ClassVar[float] = 0.0

    def hide(self, ids: Tensor, maskable: Tensor, mask_id: int, generator: torch.Generator) -> Hidden:
        """ids, maskable: (B, T), rows in random order."""
        t = stratified_times(len(ids), TIME_FLOOR, generator)
        inputs, masked = self.masks(ids, maskable, self.schedule.alpha(t), mask_id, generator)
        weight = training_weight(self.schedule, t, self.weighting["kind"], self.weighting["max_weight"])
        return Hidden(inputs, masked, weight, self.schedule.weight(t))


@dataclass(frozen=True)
class EveryToken:
    """Learning from all tokens of a pass, each weighing the same: of a share ``left_to_right`` of the rows from left to
    right, of the others from what a uniform share of masks leaves in sight, which is the exact bound.

    A sixth of those read from left to right see, at each token, all on its left and on its right what a uniform share
    of masks leaves: as in a template whose fixed bases lie ahead.
    """

    left_to_right: float

    def hide(self, ids: Tensor, maskable: Tensor, mask_id: int, generator: torch.Generator) -> Hidden:
        """ids, maskable: (B, T), rows in random order."""
        from_left = round(self.left_to_right * len(ids))
        at_random, ahead = len(ids) - from_left, round(AHEAD * from_left)

        def masked(rows: slice) -> Tensor:
            shown = 1 - stratified_times(len(ids[rows]), 0.0, generator)
            return mask(ids[rows], maskable[rows], shown, mask_id, generator)[0]

        hidden, of_template = masked(slice(at_random)), masked(slice(at_random, at_random + ahead))
        inputs, right = torch.cat([hidden, ids[at_random:]]), torch.cat([hidden, of_template])
        one = torch.ones(len(ids), device=ids.device)
        return Hidden(inputs, maskable, one, one, right)


def objective_of(settings: Mapping[str, Any], model: nn.Module, bases_per_token: float) -> Masked | EveryToken:
    """What the settings of a model's config entry say, as far as the model can follow.

    Raises UserError where they ask for windows to be learned from left to right by a model that cannot.
    """
    masking = settings["masking"]
    if getattr(model, "leave_one_out", False):
        share = masking["left_to_right"]
        return EveryToken(LEFT_TO_RIGHT if share is None else share)
    if masking["left_to_right"]:
        raise UserError(
            f"masking.left_to_right is {masking['left_to_right']}, but the backbone {settings['backbone']} sees "
            "what it predicts: it learns from masks alone.",
            "Remove left_to_right, or choose the recurrent backbone.",
        )
    return Masked(Schedule(settings["schedule"]), settings["weighting"], masks_of(masking, bases_per_token))
