"""Training the classifier: examples in, the network of the best epoch out. One way for all that is learned here."""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import torch
from torch import Tensor, nn

from diffusion_bert.oracle.network import SequenceNetwork, Strands, log_softmax
from diffusion_bert.seeds import derive_seed

# Sequences of a step: the larger; for few, so many that an epoch has about 64 steps, but not fewer than the smaller.
BATCHES = (16, 64)
LEARNING_RATE = 0.01
WEIGHT_DECAY = 0.01
RISE = 0.15  # share of the steps in which the learning rate rises; it falls in the others (Smith and Topin 2018)
PATIENCE = 3  # epochs without a better validation after which training stops, in its second half
_LOG = logging.getLogger(__name__)


@dataclass
class Examples:
    """Sequences and the number of the class of each, (n,) int64."""

    strands: Strands
    classes: Tensor


@dataclass
class Fitted:
    """The network of the best epoch (counted from 1), and its cross entropy on validation, nats a sequence."""

    network: SequenceNetwork
    epoch: int
    validation: float


def fit(
    train: Examples,
    validation: Examples,
    classes: int,
    *,
    width: int,
    epochs: int,
    seed: int,
    start: SequenceNetwork | None = None,
) -> Fitted:
    """Train a classifier; the weights kept are those of the epoch that is best on validation.

    Every class counts the same, whatever its number of examples: the cross entropy is weighted, in training and in
    validation. Each epoch shows every example once, on a strand drawn at random. start: a trained network of this
    width, whose weights, but for those of the last layer, are the first ones. To be called inside ``reproducible``; the
    same seed gives the same weights. Linear in epochs x letters.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))  # and dropout
        network = SequenceNetwork(classes, width)
        if start is not None:
            known = {name: tensor for name, tensor in start.state_dict().items() if not name.startswith("head.")}
            network.load_state_dict(known, strict=False)
        return _trained(network, train, validation, classes, epochs, derive_seed(seed, "rows"))


def _trained(
    network: SequenceNetwork, train: Examples, validation: Examples, classes: int, epochs: int, seed: int
) -> Fitted:
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    n = len(train.classes)
    batch = int(np.clip(n // 64, *BATCHES))
    batches = -(-n // batch)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=batches * epochs, pct_start=RISE)
    loss_of = nn.CrossEntropyLoss(class_weights(train.classes, classes))
    best, best_epoch, weights = np.inf, 0, {}
    began = time.monotonic()
    for epoch in range(1, epochs + 1):
        network.train()
        total = torch.zeros(())
        for rows in torch.randperm(n, generator=generator).split(batch):
            strand = torch.randint(2, (len(rows),), generator=generator)
            part = train.strands[rows]
            loss = loss_of(network(part.codes[torch.arange(len(rows)), strand], part.lengths), train.classes[rows])
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            rate.step()
            total += loss.detach() / batches
        held_out = weighted_cross_entropy(network.read(validation.strands)[0], validation.classes.numpy())
        ends = datetime.now() + timedelta(seconds=(time.monotonic() - began) / epoch * (epochs - epoch))
        _LOG.info(
            "epoch %d of %d; training %.4f, validation %.4f nats a sequence; ends about %s",
            epoch,
            epochs,
            float(total),
            held_out,
            f"{ends:%H:%M:%S}",
        )
        if held_out < best:
            best, best_epoch = held_out, epoch
            weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        elif epoch - best_epoch >= PATIENCE and 2 * epoch > epochs:  # before, the motifs may not yet be found
            _LOG.info("no better for %d epochs: training stops", PATIENCE)
            break
    if not weights:
        raise ValueError("no epoch had a validation that is a number")
    network.load_state_dict(weights)
    return Fitted(network.eval(), best_epoch, best)


def class_weights(classes: Tensor, number: int) -> Tensor:
    """A weight for each class, so that all together weigh the same and the mean weight of an example is 1; (number,).

    A class without an example weighs nothing.
    """
    counts = torch.bincount(classes, minlength=number).float()
    return torch.where(counts > 0, len(classes) / ((counts > 0).sum() * counts.clamp(min=1)), 0)


def weighted_cross_entropy(logits: np.ndarray, classes: np.ndarray) -> float:
    """Nats a sequence, averaged within each class that occurs and then over these; logits (n, classes), classes (n,).

    A class without an example is left out.
    """
    nats = -log_softmax(logits)[np.arange(len(classes)), classes]
    return float(np.mean([nats[classes == number].mean() for number in np.unique(classes)]))
