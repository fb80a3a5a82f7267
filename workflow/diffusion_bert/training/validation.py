"""How good a model in training is on held-out windows: bits a base, and labels named where it has a classifier."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from diffusion_bert.backbones.classifier import class_logits
from diffusion_bert.diffusion import BITS, bound_of_counts, mask_counts, stratified_counts
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tokens import Tokenizer
from diffusion_bert.training.data import TokenisedWindows
from diffusion_bert.training.distributed import Team


@dataclass
class Validation:
    """The same windows, times and masks every time: parts of (ids with [MASK], true ids, masked), and the known bases
    in all of them (bp). from_left: nothing is masked, and every base is predicted from those on its left."""

    tokenizer: Tokenizer
    parts: list[tuple[Tensor, Tensor, Tensor]]
    bases: int
    from_left: bool = False

    @classmethod
    def of(
        cls, windows: TokenisedWindows, most: int | None, seed: int, batch_size: int, from_left: bool = False
    ) -> "Validation":
        """most: at most so many windows, drawn from the seed; None takes all. from_left: for a model that has learned
        to read from left to right.

        Every window is masked once. The share that is masked is stratified over the windows, in random order.
        """
        generator = torch.Generator().manual_seed(derive_seed(seed, "validation"))
        chosen = torch.randperm(len(windows), generator=generator)[:most]
        u = (torch.arange(len(chosen)) + torch.rand(len(chosen), generator=generator)) / len(chosen)
        # Sorted by length, rows need little padding; u is in the order of the draw, which is random.
        order = windows.lengths[chosen].argsort(stable=True)
        parts, total = [], 0
        for rows, share in zip(chosen[order].split(batch_size), u[order].split(batch_size), strict=True):
            ids, _, maskable = (x.cpu() for x in windows.rows(rows))
            if from_left:
                inputs, masked = ids, maskable
            else:
                counts = stratified_counts(maskable.sum(-1), share)
                inputs, masked = mask_counts(ids, maskable, counts, windows.tokenizer.mask_id, generator)
            parts.append(tuple(x.to(windows.ids.device) for x in (inputs, ids, masked)))
            total += int(windows.known_bases.cpu()[ids].sum())
        return cls(windows.tokenizer, parts, total, from_left)

    @torch.no_grad()
    def judge(self, model: nn.Module, team: Team, classifies: bool) -> tuple[float, float | None]:
        """(bits a base, share of the windows whose label the classifier names or None without one) of the model as it
        is, in evaluation mode; each process of the team takes its share of the parts.

        Read from left to right the bits are exact; otherwise they estimate the bound. They are those of the tokens that
        a sequence is encoded as. With k-mers and BPE the same sequence can be spelled in other tokens too, so the
        number bounds the bits of the sequence itself from above as well.
        """
        predict: Callable = model.from_left if self.from_left else model
        device = self.parts[0][1].device
        is_base = torch.from_numpy(self.tokenizer.is_base).to(device)
        total = torch.zeros((), dtype=torch.float64, device=device)
        named = torch.zeros((), dtype=torch.int64, device=device)
        for inputs, ids, masked in self.parts[team.rank :: team.size]:
            attention = (ids != self.tokenizer.pad_id).long()
            nats = bound_of_counts(predict(input_ids=inputs, attention_mask=attention).logits, ids, masked, is_base)
            total += (nats * is_base[ids].sum(-1)).sum()
            if classifies:
                named += self._named(model, inputs, attention, ids).sum()
        team.add_up([total, named])
        rows = sum(len(ids) for _, ids, _ in self.parts)
        return float(total) / self.bases * BITS, int(named) / rows if classifies else None

    def _named(self, model: nn.Module, inputs: Tensor, attention: Tensor, ids: Tensor) -> Tensor:
        """Whether the classifier names each row's label (B,), the label withheld and bases masked as they are."""
        unlabelled = inputs.clone()
        unlabelled[:, 1] = self.tokenizer.no_label_id
        states = model(input_ids=unlabelled, attention_mask=attention, output_hidden_states=True).hidden_states
        return class_logits(model, states).argmax(-1) == ids[:, 1] - (self.tokenizer.no_label_id + 1)
