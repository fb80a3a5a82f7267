"""The LSTM's folder, and what it makes of files: sequences like the test windows, and exact scores of the sets."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import load, save

from diffusion_bert.baseline.lstm import LabelledLSTM
from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.letters import lengths_of
from diffusion_bert.reproducible import best_device, reproducible
from diffusion_bert.tables import (
    LSTM_SCORES,
    SEQUENCES,
    TRAINING,
    WINDOWS,
    read_parquet,
    write_parquet,
    write_tsv,
    written_beside,
)


def save_lstm(folder: str | Path, network: LabelledLSTM, settings: Mapping[str, Any], curve: pd.DataFrame) -> None:
    """Write model.safetensors, training.tsv (TRAINING) and lstm.json, each atomically, the last one last.

    settings: whatever else should be known of the network; labels, their shares, the width, the number of parameters
    and a digest of the weights are added.
    """
    folder = Path(folder)
    weights = save({name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()})
    with written_beside(folder / "model.safetensors") as part:
        part.write_bytes(weights)
    write_tsv(curve, folder / "training.tsv", TRAINING)
    content = {
        **settings,
        "labels": network.labels,
        "shares": network.shares.tolist(),
        "width": network.width,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    with written_beside(folder / "lstm.json") as part:
        part.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def load_lstm(folder: str | Path, device: str = "auto") -> LabelledLSTM:
    """The network of a folder that ``save_lstm`` wrote; UserError where a file is missing or is not what it was."""
    folder = Path(folder)
    try:
        content = json.loads((folder / "lstm.json").read_text())
        weights = (folder / "model.safetensors").read_bytes()
        if hashlib.sha256(weights).hexdigest() != content["weights_sha256"]:
            raise ValueError("the weights are not those that were saved (digests differ)")
        network = LabelledLSTM(content["labels"], content["width"], content["shares"])
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: the file is missing.", "Run train_lstm again.") from None
    except KeyError as error:
        raise UserError(f"{folder / 'lstm.json'} has no {error}.", "Run train_lstm again.") from None
    except ValueError as error:
        raise UserError(f"{folder}: {error}.", "Remove the folder, and run train_lstm again.") from None
    network.load_state_dict(load(weights))
    return network.to(best_device(device)).eval()


def generate_lstm(folder: str | Path, test_parquet: str | Path, *, seed: int, destination: str | Path) -> None:
    """Write SEQUENCES, one row a test window with its label and length, and their exact bits a base.

    As many as there are test windows, like the floors: the evaluation compares at equal n, which these bound.
    """
    test = read_parquet(test_parquet, WINDOWS)
    labels, lengths = test["label"].tolist(), lengths_of(test["sequence"].tolist())
    with reproducible(1):
        network = load_lstm(folder)
        sequences = network.sample(lengths, labels, seed=seed)
        bits = network.bits_per_base(sequences, labels)
    frame = pd.DataFrame(
        {
            "name": [f"lstm_{row}" for row in range(1, len(test) + 1)],
            "label": labels,
            "seed": pd.array([seed] * len(test), dtype="Int64"),
            "length": lengths,
            "bits_per_base": bits,
            "sequence": sequences,
        }
    )
    write_parquet(frame, destination, SEQUENCES)


def score_sets_lstm(folder: str | Path, sets: str | Path, *, destination: str | Path) -> None:
    """Write LSTM_SCORES: the exact bits a base of each row of the table of sets, given its label.

    sets: Parquet with columns set, name, label, sequence.
    """
    table = pd.read_parquet(sets)
    with reproducible(1):
        bits = load_lstm(folder).bits_per_base(table["sequence"].tolist(), table["label"].tolist())
    write_parquet(table[["set", "name"]].assign(bits_per_base=bits), destination, LSTM_SCORES)
