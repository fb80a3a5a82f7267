"""One question's answer to files: the EVALUATION table, and the details that figures are drawn from."""

from collections.abc import Mapping

import pandas as pd

from diffusion_bert.tables import EVALUATION, write_tsv, written_beside


def write_evaluation(evaluation: pd.DataFrame, details: Mapping[str, pd.DataFrame], paths: Mapping[str, str]) -> None:
    """Write each table atomically, tab-separated.

    paths: ``evaluation`` and each detail's name -> file.
    """
    for name, frame in details.items():
        with written_beside(paths[name]) as part:
            frame.to_csv(part, sep="\t", index=False)
    write_tsv(evaluation, paths["evaluation"], EVALUATION)
