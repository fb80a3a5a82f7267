"""What the report is made of: the files of ``results/``, told apart by where they lie."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from diffusion_bert.errors import UserError

Run = tuple[str, str]


@dataclass
class Inputs:
    """Paths by what they hold. A run is a pair (model, sampler). Only ``verdict`` and ``comparison`` must be there."""

    verdict: Path | None = None
    comparison: Path | None = None
    summary: Path | None = None
    funnel: Path | None = None
    markov: Path | None = None
    sources: Path | None = None
    grammar: Path | None = None
    curves: dict[str, Path] = field(default_factory=dict)
    understanding: dict[str, Path] = field(default_factory=dict)
    models: dict[str, Path] = field(default_factory=dict)
    sequences: dict[Run, Path] = field(default_factory=dict)
    fastas: dict[Run, Path] = field(default_factory=dict)
    hits: dict[Run, Path] = field(default_factory=dict)
    collapses: dict[Run, Path] = field(default_factory=dict)
    evaluations: dict[Run, dict[str, Path]] = field(default_factory=dict)
    figures: dict[Run, dict[str, Path]] = field(default_factory=dict)
    shared_figures: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def from_paths(cls, paths: Iterable[str | Path]) -> "Inputs":
        """Tell the files apart by their place in the results' layout (``.../evaluation/{model}/{sampler}/kmers.tsv``).

        Raises ValueError on a path that has no place in a report: the rule that calls is wrong then, not the user.
        """
        inputs = cls()
        for path in map(Path, paths):
            inputs._place(path)
        missing = [name for name in ("verdict", "comparison") if getattr(inputs, name) is None]
        if missing:
            raise ValueError(f"a report needs comparison/{missing[0]}.tsv")
        return inputs

    def _place(self, path: Path) -> None:
        parts, name, suffix = path.parts, path.name, path.suffix
        single = {
            ("comparison", "verdict.tsv"): "verdict",
            ("comparison", "comparison.tsv"): "comparison",
            ("splits", "summary.tsv"): "summary",
            ("splits", "funnel.tsv"): "funnel",
            ("floors", "markov.tsv"): "markov",
            ("windows", "sources.tsv"): "sources",
        }
        if parts[-2:] in single:
            setattr(self, single[parts[-2:]], path)
        elif name == "grammar.json":
            self.grammar = path
        elif parts[-2:] in (("models", "training.svg"), ("comparison", "comparison.svg"), ("comparison", "pareto.svg")):
            self.shared_figures[path.stem] = path
        elif parts[-3:-2] == ("models",) and name == "training.tsv":
            self.curves[parts[-2]] = path
        elif parts[-2:-1] == ("understanding",):
            self.understanding[path.stem] = path
        elif parts[-3:-2] == ("models",) and name == "diffusion.json":
            self.models[parts[-2]] = path
        elif parts[-4:-3] == ("sequences",) and suffix == ".parquet":
            self.sequences[parts[-3], parts[-2]] = path
        elif parts[-4:-3] == ("sequences",) and suffix == ".fasta":
            self.fastas[parts[-3], parts[-2]] = path
        elif parts[-4:-3] == ("sequences",) and name == "collapse.tsv":
            self.collapses[parts[-3], parts[-2]] = path
        elif parts[-4:-3] == ("evaluation",) and suffix == ".tsv":
            self.evaluations.setdefault((parts[-3], parts[-2]), {})[path.stem] = path
        elif parts[-4:-3] == ("evaluation",) and suffix == ".bed":
            self.hits[parts[-3], parts[-2]] = path
        elif parts[-4:-3] == ("evaluation",) and suffix == ".svg":
            self.figures.setdefault((parts[-3], parts[-2]), {})[path.stem] = path
        else:
            raise ValueError(f"{path}: not a file that a report is made of")


def read_table(path: Path) -> pd.DataFrame:
    """A tab-separated table; only the empty field is null."""
    try:
        return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""])
    except pd.errors.EmptyDataError:
        raise UserError(
            f"{path}: the file is empty; a table with a header was expected.",
            "Remove the file so that the step which writes it runs again.",
        ) from None


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())
