"""An oracle as it is kept, and what it says of sequences. How it comes to know anything is the business of ``oracle``.

Apart from the training, so that what only asks an oracle does not depend on how oracles are made.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.rows import ALL
from diffusion_bert.oracle.network import SequenceNetwork, Strands, log_softmax
from diffusion_bert.tables import written_beside as beside

GUIDE, JUDGE = "guide", "judge"
THREADS = 1  # the network is too small for more to be of use
WEIGHTS, DESCRIPTION = "model.safetensors", "oracle.json"


@dataclass
class Oracle:
    """labels: those it tells apart, sorted; empty where no label had enough windows, and then there is no network.

    temperature: what its logits are divided by. description: ``oracle.json`` as written.
    """

    labels: list[str]
    network: SequenceNetwork | None
    temperature: float = 1.0
    description: dict[str, Any] = field(default_factory=dict)

    def read(self, sequences: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Calibrated log-probabilities (n, labels + 1), the background last, and embeddings (n, 32).

        Both strands give the same. Linear in letters. Raises ValueError for an oracle without a label.
        """
        if self.network is None:
            raise ValueError("this oracle knows no label")
        logits, embeddings = self.network.read(Strands.of(sequences))
        return log_softmax(logits / self.temperature), embeddings


def save_oracle(oracle: Oracle, folder: str | Path) -> None:
    """Write model.safetensors and, once that is complete, oracle.json; each atomically."""
    folder = Path(folder)
    weights = {} if oracle.network is None else oracle.network.state_dict()
    with beside(folder / WEIGHTS) as part:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, part)
        part.chmod(0o644)  # safetensors writes for the owner alone
    with beside(folder / DESCRIPTION) as part:
        part.write_text(json.dumps(oracle.description, indent=1, sort_keys=True) + "\n")


def load_oracle(folder: str | Path) -> Oracle:
    """The oracle of a folder that ``train_oracle`` wrote. Raises UserError where a file is missing or broken."""
    folder = Path(folder)
    remedy = "Remove the folder so that the oracle is trained again."
    try:
        description = json.loads((folder / DESCRIPTION).read_text())
        labels, width = description["labels"], description["settings"]["width"]
        if not labels:
            return Oracle([], None, description=description)
        network = SequenceNetwork(len(labels) + 1, width)
        network.load_state_dict(load_file(folder / WEIGHTS))
        return Oracle(labels, network.eval(), description["temperature"], description)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename or folder}: there is no such file.", remedy) from None
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        problem = str(error).splitlines()[0]
        raise UserError(f"{folder} does not hold an oracle ({problem}).", remedy) from None


def activity(log_p: np.ndarray, requested: list[str], labels: list[str]) -> np.ndarray:
    """log p(requested label) - log p(background), (n,) float64, natural logarithm; every class counts the same.

    Of ``all``, for sequences without a label: the labels together against the background. NaN for a label that the
    oracle does not know.
    """
    columns = {label: log_p[:, number] for number, label in enumerate(labels)}
    if labels:
        columns[ALL] = np.logaddexp.reduce(log_p[:, :-1], axis=1)
    unknown = np.full(len(log_p), np.nan)
    own = [columns.get(label, unknown)[row] for row, label in enumerate(requested)]
    return np.array(own, dtype=np.float64) - log_p[:, -1]
