"""A trained model's opinion of sequences that lie in a file."""

from pathlib import Path

import pandas as pd

from diffusion_bert.likelihood import bits_per_base
from diffusion_bert.reproducible import reproducible
from diffusion_bert.tables import MODEL_SCORES, write_parquet
from diffusion_bert.training.checkpoints import load_model_folder


def score_sets(model: str | Path, sets: str | Path, *, samples: int, seed: int, destination: str | Path) -> None:
    """Write MODEL_SCORES: for each row of the table of sets the bound under the model, given its label.

    model: a model folder. sets: Parquet with columns set, name, label, sequence. samples: masks a sequence.
    """
    table = pd.read_parquet(sets)
    with reproducible():
        value, error = bits_per_base(
            load_model_folder(model), list(table["sequence"]), list(table["label"]), samples=samples, seed=seed
        )
    scores = table[["set", "name"]].assign(bits_per_base=value, standard_error=error)
    write_parquet(scores, destination, MODEL_SCORES)
