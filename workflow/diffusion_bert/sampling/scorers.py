"""Where a guide's scorer comes from: an oracle's folder, or a function of the user's."""

import hashlib
import sys
from pathlib import Path

import numpy as np

from diffusion_bert.entry_points import function_at
from diffusion_bert.errors import UserError
from diffusion_bert.evaluation.rows import ALL
from diffusion_bert.oracle.folder import DESCRIPTION, GUIDE, WEIGHTS, activity, load_oracle
from diffusion_bert.sampling.guide import Scorer

ORACLE = "oracle"
_KEY = "sampler.guide.scorer"


def scorer_of(entry: str, oracle: str | Path | None) -> Scorer:
    """The scorer that a sampler's ``guide.scorer`` names: ``oracle``, for the one in the folder ``oracle``, or
    package.module:function."""
    if entry != ORACLE:
        return scorer_of_function(entry)
    if oracle is None:
        raise UserError(
            f"{_KEY} is {ORACLE}, but no oracle is given.",
            "Give its folder (--guide results/oracles/guide), or name a function.",
        )
    return scorer_of_oracle(oracle)


def scorer_of_oracle(folder: str | Path) -> Scorer:
    """What the guide of a folder says of a sequence: log p(requested label) - log p(background), natural logarithm; for
    one without a label, of all labels together.

    Raises UserError for an oracle that is not the guide, since what the judge has steered it could not judge, and for
    one that knows no label.
    """
    folder = Path(folder)
    oracle = load_oracle(folder)
    kind = oracle.description.get("oracle")
    if kind != GUIDE:
        raise UserError(
            f"{folder} holds the oracle {kind}, and only the {GUIDE} may steer: what the judge has steered, it could "
            "not judge.",
            "Give the folder of the guide (results/oracles/guide).",
        )
    if not oracle.labels:
        raise UserError(
            f"The guide in {folder} knows no label (too few training windows of each), so it cannot steer.",
            "Give more training windows, or leave guide.method null.",
        )

    def score(sequences: list[str], labels: list[str | None]) -> np.ndarray:
        return activity(oracle.read(sequences)[0], [label or ALL for label in labels], oracle.labels)

    files = b"".join((folder / name).read_bytes() for name in (DESCRIPTION, WEIGHTS))
    return Scorer(score, f"the oracle {kind}", oracle.labels, hashlib.sha256(files).hexdigest())


def scorer_of_function(entry: str) -> Scorer:
    """The function that stands at package.module:function (``entry_points``).

    It is called with a list of sequences and one of labels (None for no label), and returns a number for each. It must
    look at each sequence by itself. Raises UserError where there is none to call.
    """
    function = function_at(entry, _KEY)
    file = getattr(sys.modules[entry.partition(":")[0]], "__file__", None)
    content = Path(file).read_bytes() if file else b""
    return Scorer(function, entry, identity=f"{entry} {hashlib.sha256(content).hexdigest()}")
