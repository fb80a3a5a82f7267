"""Sequences from a model folder, without the workflow: python -m diffusion_bert.sampling MODEL OUTPUT [options]"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusion_bert.errors import UserError
from diffusion_bert.progress import bar
from diffusion_bert.sampling.filters import DEFAULTS as FILTERS
from diffusion_bert.sampling.jobs import generate_run
from diffusion_bert.sampling.request import Request
from diffusion_bert.sampling.settings import DEFAULTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0, or 1 with one line on standard error for a mistake of the user's."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    output = options.output
    try:
        with bar("generating", "sequence") as progress:
            request = Request(
                model=options.model,
                train=options.train,
                test=None,
                sampler={**with_settings(DEFAULTS, options.set), "template": options.template},
                number=options.number,
                labels=labels_of(options.labels),
                length=options.length,
                filters={
                    "forbidden": options.forbid,
                    "max_homopolymer": options.max_homopolymer,
                    "gc": options.gc,
                    "keep_duplicates": options.keep_duplicates,
                    "attempts": options.attempts,
                },
                likelihood_samples=options.likelihood_samples,
                seed=options.seed,
                guide=options.guide,
            )
            generate_run(
                request,
                fasta=output.with_name(output.name + ".fasta"),
                table=output.with_name(output.name + ".parquet"),
                filtered=output.with_name(output.name + ".filters.tsv"),
                collapsed=output.with_name(output.name + ".collapse.tsv") if options.train else None,
                kept=output.with_name(output.name + ".draws") / "all.jsonl" if options.keep_draws else None,
                name=options.name,
                progress=progress,
            )
    except UserError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m diffusion_bert.sampling", description=__doc__)
    add = parser.add_argument
    add("model", type=Path, help="a model folder (results/models/NAME)")
    add("output", type=Path, help="where to: OUTPUT.fasta, OUTPUT.parquet and OUTPUT.filters.tsv are written")
    add("--number", type=int, default=100, help="sequences, in equal shares of the model's labels (default 100)")
    add(
        "--labels",
        nargs="+",
        default=[],
        metavar="LABEL=N",
        help="so many of each label in place of --number; =N for sequences without a label",
    )
    add("--length", type=int, help="bp; needed where there is neither --template nor --train")
    add("--template", type=Path, help="FASTA of IUPAC templates, taken in turn within each label")
    add("--train", type=Path, help="windows (Parquet) to draw lengths from, and to compare with (OUTPUT.collapse.tsv)")
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings of the sampler, as in the config: steps=32 order=entropy refine.passes=2 refine.threshold=0.1",
    )
    add("--guide", type=Path, help="an oracle's folder, that of the guide: --set guide.method=smc is steered by it")
    add("--name", default="command", help="of the sampler, for the headers of OUTPUT.fasta (default command)")
    add("--forbid", nargs="+", default=[], metavar="SITE", help="restriction enzymes or IUPAC patterns, both strands")
    add("--max-homopolymer", type=int, help="longest run of one base, bp")
    add("--gc", type=float, nargs=2, metavar=("LOW", "HIGH"), help="share of G and C")
    add("--keep-duplicates", action="store_true", help="keep a sequence that stands there already")
    add("--attempts", type=int, default=FILTERS["attempts"], help="draws of one sequence at most (default 20)")
    add("--likelihood-samples", type=int, default=8, help="passes of the bound on bits a base (default 8)")
    add("--keep-draws", action="store_true", help="keep draws in OUTPUT.draws: go on after a kill, draw more later")
    add("--seed", type=int, default=1)
    return parser


def labels_of(given: Sequence[str]) -> dict[str | None, int] | None:
    """LABEL=N, each; "=N" is without a label."""
    counts: dict[str | None, int] = {}
    for text in given:
        label, equals, number = text.rpartition("=")
        if not equals or not number.isdigit() or not int(number):
            raise UserError(f"--labels {text} will not do.", "Write LABEL=N with a whole number N of at least 1.")
        counts[label or None] = int(number)
    return counts or None


def with_settings(settings: dict[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """The settings with KEY=VALUE, each, put in; a dot leads into a mapping, a value is JSON or else text."""
    out = json.loads(json.dumps(settings))
    for text in given:
        path, equals, value = text.partition("=")
        *inner, last = path.split(".")
        place = out
        for key in inner:
            place = place.get(key) if isinstance(place, dict) else None
        if not equals or not isinstance(place, dict) or last not in place or isinstance(place[last], dict):
            known = [f"{k}.{i}" for k, v in out.items() if isinstance(v, dict) for i in v]
            known = [k for k, v in out.items() if not isinstance(v, dict)] + known
            raise UserError(f"--set {text} will not do.", f"Write KEY=VALUE with one of {', '.join(known)}.")
        try:
            place[last] = json.loads(value)
        except ValueError:
            place[last] = value
    return out


if __name__ == "__main__":
    sys.exit(main())
