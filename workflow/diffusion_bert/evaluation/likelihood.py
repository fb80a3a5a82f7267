"""Bits a base of every set, under the diffusion model, the best Markov chain and the LSTM, from tables of scores."""

import numpy as np
import pandas as pd

from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.intervals import Resamples, sums
from diffusion_bert.evaluation.markov import MarkovChain
from diffusion_bert.evaluation.rows import Rows, compared, groups
from diffusion_bert.tables import Columns

# Scores of the sets' sequences. standard_error: of the Monte Carlo estimate of one sequence's bound.
MODEL_SCORES: Columns = {"set": "text", "name": "text", "bits_per_base": "float?", "standard_error": "float?"}
MARKOV_SCORES: Columns = {"set": "text", "name": "text", "bits_per_base": "float?"}


def markov_scores(sets: pd.DataFrame, chain: MarkovChain) -> pd.DataFrame:
    """MARKOV_SCORES of all sequences of a SETS frame."""
    bits = chain.bits_per_base(sets["sequence"].tolist(), sets["label"].tolist())
    return sets[["set", "name"]].assign(bits_per_base=bits)


def evaluate_likelihood(
    sets: pd.DataFrame,
    model_scores: pd.DataFrame,
    markov_scores: pd.DataFrame,
    lstm_scores: pd.DataFrame | None = None,
    *,
    bootstrap: int,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Mean bits a base of each set under each, and the model's paired difference to the others, label by label.

    sets: SETS frame. model_scores, markov_scores, lstm_scores (None: there is no LSTM): one row a (set, name); the
    reference need not be scored. A difference is that of the same sequences, so what makes a sequence easy or hard for
    both drops out of its interval. Details ``sequences``: set, label, name, bits_per_base, standard_error,
    markov_bits_per_base and, with an LSTM, lstm_bits_per_base.
    Raises UserError where a (set, name) is scored twice.
    """
    rows, draws = Rows(), Resamples(bootstrap, seed)
    names = compared(sets)
    table = sets[["set", "label", "name"]]
    others = {"markov": markov_scores} if lstm_scores is None else {"markov": markov_scores, "lstm": lstm_scores}
    renamings = {f"{name}_bits_per_base": scores for name, scores in others.items()}
    for column, scores in {"bits_per_base": model_scores, **renamings}.items():
        twice = scores.duplicated(["set", "name"])
        if twice.any():
            row = scores[twice].iloc[0]
            raise UserError(
                f"The sequence {row['name']} of {row['set']} has two scores.", "Score every sequence of the sets once."
            )
        table = table.merge(scores.rename(columns={"bits_per_base": column}), on=["set", "name"], how="left")
    model = table["bits_per_base"].to_numpy(dtype=np.float64)
    values = {"model_bits_per_base": model}
    for name in others:
        own = table[f"{name}_bits_per_base"].to_numpy(dtype=np.float64)
        values |= {f"{name}_bits_per_base": own, f"model_minus_{name}": model - own}
    for label, members in groups(sets):
        for name in names:
            at = members[name]
            for metric, of_all in values.items():
                value = of_all[at]
                kept = np.isfinite(value)
                n = int(kept.sum())
                if n < len(at) or n == 0:
                    why = f"{len(at) - n} of {len(at)} sequences have no score" if len(at) else "no sequence"
                    rows.missing(metric, label, name, len(at), why)
                    continue
                # Centred first: single precision in the product would cost the difference its last digits.
                middle = float(value.mean())
                replicates = middle + sums(draws(n, label), value - middle) / n
                rows.add(metric, label, name, middle, replicates, n)
    columns = ["set", "label", "name", "bits_per_base", "standard_error", *renamings]
    return rows.frame(), {"sequences": table[columns]}
