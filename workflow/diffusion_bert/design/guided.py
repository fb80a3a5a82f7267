"""The choice of a library by the guide. The judge has no part in it, so that it may judge what was chosen."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from diffusion_bert.design.choose import ACCOUNT, CANDIDATES, DIVERSITY, INSERTS, choose
from diffusion_bert.oracle.folder import GUIDE, THREADS, activity, load_oracle
from diffusion_bert.reproducible import reproducible
from diffusion_bert.tables import SEQUENCES, WINDOWS, read_parquet, write_tsv


def choose_library(
    guide: str | Path,
    runs: Mapping[str, str | Path],
    test: str | Path,
    settings: Mapping[str, Any],
    *,
    seed: int,
    candidates: str | Path,
    inserts: str | Path,
    account: str | Path,
    diversity: str | Path,
) -> None:
    """Write CANDIDATES, INSERTS, ACCOUNT and DIVERSITY (``choose``).

    guide: the folder of an oracle. runs: run (model/sampler) -> SEQUENCES file. test: WINDOWS file. settings: the
    config's ``library``. Raises ValueError for an oracle that is not the guide, and the UserErrors of ``choose``.
    """
    oracle = load_oracle(guide)
    if oracle.description["oracle"] != GUIDE:
        raise ValueError(f"{guide} is the oracle {oracle.description['oracle']}, and only the guide may choose")
    generated = pd.concat(
        [read_parquet(path, SEQUENCES).assign(run=run) for run, path in runs.items()], ignore_index=True
    )

    def rated(sequences: Sequence[str], labels: Sequence[str]) -> np.ndarray:
        if not oracle.labels or not len(sequences):
            return np.full(len(sequences), np.nan)
        with reproducible(THREADS):
            return activity(oracle.read(list(sequences))[0], list(labels), oracle.labels)

    library = choose(generated, read_parquet(test, WINDOWS), settings, rated, seed=seed)
    write_tsv(library.candidates, candidates, CANDIDATES)
    write_tsv(library.inserts, inserts, INSERTS)
    write_tsv(library.account, account, ACCOUNT)
    write_tsv(library.diversity, diversity, DIVERSITY)
