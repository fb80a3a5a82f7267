"""WINDOWS tables from a few sequences."""

import pandas as pd


def windows(sequences, labels, strands="."):
    n = len(sequences)
    return pd.DataFrame(
        {
            "chrom": pd.array([None] * n, dtype="str"),
            "start": pd.array([pd.NA] * n, dtype="Int64"),
            "end": pd.array([pd.NA] * n, dtype="Int64"),
            "strand": [strands] * n if isinstance(strands, str) else strands,
            "summit": pd.array([pd.NA] * n, dtype="Int64"),
            "track": labels,
            "label": labels,
            "score": 1.0,
            "sequence": sequences,
        }
    )
