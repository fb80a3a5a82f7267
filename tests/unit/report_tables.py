"""Made-up results, complete and small: what a finished run leaves behind, for tests of figures and report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from diffusion_bert import tables
from diffusion_bert.evaluation.metrics import METRICS
from diffusion_bert.figures.agreement import draw_kmers, draw_motifs
from diffusion_bert.figures.distributions import draw_composition, draw_likelihood, draw_novelty
from diffusion_bert.figures.motif_pairs import draw_motif_pairs
from diffusion_bert.figures.standing import draw_comparison, draw_grammar
from diffusion_bert.figures.training import draw_training_curve

SETS = ["generated", "ceiling", "reference", "dinucleotide_shuffle", "markov", "uniform"]
COMPARED = [name for name in SETS if name != "reference"]
LABELS = ["GM12878", "HepG2", "K562"]
GC = {
    "generated": 0.50,
    "ceiling": 0.505,
    "reference": 0.505,
    "dinucleotide_shuffle": 0.505,
    "markov": 0.5,
    "uniform": 0.5,
}
SPREAD = {
    "generated": 0.085,
    "ceiling": 0.095,
    "reference": 0.095,
    "dinucleotide_shuffle": 0.095,
    "markov": 0.04,
    "uniform": 0.035,
}
STRENGTH = {
    "generated": 0.75,
    "ceiling": 1.0,
    "reference": 1.0,
    "dinucleotide_shuffle": 0.1,
    "markov": 0.3,
    "uniform": 0.03,
}
MOTIFS = {"MA0139.2": "CTCF", "MA0080.7": "SPI1", "MA0114.5": "HNF4A", "MA0035.5": "GATA1", "MA0148.5": "FOXA1"}
CONFIG = {
    "seed": 1,
    "simulate": {"chromosomes": 6},
    "tracks": "config/tracks.tsv",
    "windows": {"width": 200, "centre": "summit", "jitter": 0, "max_n": 0.0, "max_lower_case": 1.0},
    "split": {"by": "chromosome", "validation": ["chr5"], "test": ["chr6"]},
    "models": {
        "convnet": {
            "backbone": "convnet",
            "schedule": "linear",
            "weighting": {"kind": "clipped", "max_weight": 10.0},
            "epochs": 20,
            "batch_size": 64,
            "learning_rate": 0.003,
        }
    },
    "samplers": {
        "ancestral": {"order": "ancestral", "steps": 64, "temperature": 1.0, "top_p": 1.0, "refine": {"passes": 0}},
        "confident": {"order": "confidence", "steps": 64, "temperature": 0.9, "top_p": 0.9, "refine": {"passes": 1}},
    },
    "generate": {"number": 1000, "labels": None},
    "evaluation": {"motifs": {"taxon": "vertebrates", "file": None, "p_value": 1e-4}, "bootstrap": 500},
    "report": {"title": "Enhancers of three cell types", "sequences": 50},
}


def random() -> np.random.Generator:
    return np.random.default_rng(3)


def training(steps: int = 12) -> pd.DataFrame:
    step = np.arange(1, steps + 1) * 50
    loss = 1.90 + 0.12 * np.exp(-step / 200)
    return pd.DataFrame(
        {
            "step": step,
            "epoch": step / 90,
            "train_bits_per_base": loss + random().normal(0, 0.006, steps),
            "validation_bits_per_base": loss + 0.003,
            "learning_rate": 1e-3,
        }
    )


def composition(n: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
    draw = random()
    rows = [
        {"set": kind, "label": label, "gc": value, "cpg_oe": 0.4, "longest_homopolymer": 5, "entropy": 5.4}
        for kind in SETS
        for shift, label in enumerate(LABELS)
        for value in np.clip(draw.normal(GC[kind] + 0.02 * shift, SPREAD[kind], n), 0, 1)
    ]
    places = np.arange(200)
    bump = 0.06 * np.exp(-0.5 * ((places - 100) / 30) ** 2)
    profiles = []
    for kind in SETS:
        gc = GC[kind] + STRENGTH[kind] * bump + draw.normal(0, 0.01, 200)
        profiles.append(
            pd.DataFrame(
                {
                    "set": kind,
                    "label": "all",
                    "position": places,
                    "A": (1 - gc) / 2,
                    "C": gc / 2,
                    "G": gc / 2,
                    "T": (1 - gc) / 2,
                }
            )
        )
    return pd.DataFrame(rows), pd.concat(profiles, ignore_index=True)


def kmers(k: int = 4) -> pd.DataFrame:
    draw = random()
    truth = draw.dirichlet(np.ones(4**k) * 3)
    words = ["".join("ACGT"[number >> 2 * place & 3] for place in range(k)) for number in range(4**k)]
    parts = []
    for kind in SETS:
        blend = STRENGTH[kind] * truth + (1 - STRENGTH[kind]) / 4**k
        noisy = blend * draw.lognormal(0, 0.05, 4**k)
        noisy[-1] = noisy.sum() * 1e-6  # seen once
        parts.append(pd.DataFrame({"set": kind, "k": k, "kmer": words, "frequency": noisy / noisy.sum()}))
    return pd.concat(parts, ignore_index=True)


def motifs() -> tuple[pd.DataFrame, pd.DataFrame, dict]:
    draw = random()
    names = MOTIFS | {f"MA{number:04d}.1": f"TF{number}" for number in range(60)}
    truth = {key: 0.35 if key in MOTIFS else float(draw.lognormal(-4, 1)) for key in names}
    rates, positions = [], []
    for kind in SETS:
        for label in ["all", *LABELS]:
            for key, name in names.items():
                background = min(truth[key], 0.03)
                rate = (background + STRENGTH[kind] * (truth[key] - background)) * draw.lognormal(0, 0.1)
                rates.append(
                    {"set": kind, "label": label, "matrix_id": key, "name": name, "rate": min(rate, 1.0), "n": 300}
                )
        for key, name in list(MOTIFS.items())[1:4]:
            for start in range(0, 200, 10):
                peak = np.exp(-0.5 * ((start - 95) / 20) ** 2)
                positions.append(
                    {
                        "set": kind,
                        "label": "all",
                        "matrix_id": key,
                        "name": name,
                        "position": start,
                        "rate": 0.01 + 0.08 * STRENGTH[kind] * peak,
                    }
                )
    matrices = {}
    for key in list(MOTIFS)[:3]:
        counts = draw.dirichlet(np.ones(4) * 0.25, 11) * 500
        matrices[key] = {base: counts[:, number].round().tolist() for number, base in enumerate("ACGT")}
    return pd.DataFrame(rates), pd.DataFrame(positions), matrices


def motif_pairs() -> tuple[pd.DataFrame, pd.DataFrame]:
    draw, named = random(), list(MOTIFS.items())
    two = [(one, other) for i, one in enumerate(named) for other in named[i + 1 :]]
    names = [{"first": one[0], "first_name": one[1], "second": other[0], "second_name": other[1]} for one, other in two]
    odds = draw.normal(0, 3, len(two))
    pairs = [
        {
            "set": kind,
            "label": "all",
            **name,
            "log2_odds": STRENGTH[kind] * odd + draw.normal(0, 0.3),
            "compared": "yes",
        }
        for kind in SETS
        for name, odd in zip(names, odds, strict=True)
    ]
    spacings = [
        {
            "set": kind,
            "label": "all",
            **(name if turn != 1 else dict(zip(name, (*other, *one), strict=True))),
            "orientation": orientation,
            "distance": start,
            "count": int(draw.poisson(60 * STRENGTH[kind] if (turn, start) == (0, 15) else 0.5)),
            "expected": 2.0,
            "n": 300,
        }
        for kind in SETS
        for name, (one, other) in list(zip(names, two, strict=True))[:3]
        for turn, orientation in enumerate(("++", "++", "+-", "-+"))
        for start in range(0, 60, 5)
    ]
    return pd.DataFrame(pairs), pd.DataFrame(spacings)


def novelty(n: int = 120) -> pd.DataFrame:
    draw = random()
    rows = [
        {
            "set": kind,
            "label": LABELS[number % 3],
            "name": f"{kind}_{number}",
            "identity": float(np.clip(draw.normal(0.56 if kind != "ceiling" else 0.58, 0.03), 0, 1)),
            "longest_shared": int(draw.poisson(13)),
            "nearest": f"train_{number}",
        }
        for kind in COMPARED
        for number in range(n)
    ]
    rows[0]["identity"], rows[0]["longest_shared"] = 1.0, 200
    return pd.DataFrame(rows)


def likelihood(n: int = 120) -> pd.DataFrame:
    draw = random()
    centre = {"generated": 1.88, "ceiling": 1.905, "dinucleotide_shuffle": 1.95, "markov": 1.94, "uniform": 2.05}
    return pd.DataFrame(
        [
            {
                "set": kind,
                "label": LABELS[number % 3],
                "name": f"{kind}_{number}",
                "bits_per_base": draw.normal(centre[kind], 0.03),
                "standard_error": 0.01,
            }
            for kind in COMPARED
            for number in range(n)
        ]
    )


def evaluation(question: str, strength: float = 0.75) -> pd.DataFrame:
    """EVALUATION rows of one question: generated lies ``strength`` of the way from the best floor to the ceiling."""
    rows = []
    for number, metric in enumerate(m for m in METRICS.values() if m.question == question):
        ceiling, floor = (0.02, 0.3) if metric.better == "lower" else (0.9, 0.4)
        if number % 4 == 3:
            floor = ceiling  # a metric that cannot rank
        if metric.name == "exact_copies":
            ceiling = floor = 0.0
        if metric.name.endswith("bits_per_base"):
            ceiling, floor = (1.905, 2.0) if metric.name.startswith("model") else (1.917, 1.98)
        for label in ["all", *LABELS]:
            for kind in COMPARED:
                share = {"generated": min(strength + 0.07 * (number % 3), 1.2), "ceiling": 1.0, "markov": 0.0}.get(
                    kind, -0.2
                )
                value = floor + share * (ceiling - floor)
                missing = metric.name == "chargaff_skew" and label == "K562"
                rows.append(
                    {
                        "metric": metric.name,
                        "label": label,
                        "set": kind,
                        "value": None if missing else value,
                        "ci_low": None if missing else value - 0.01,
                        "ci_high": None if missing else value + 0.01,
                        "n": 300 if label == "all" else 100,
                        "note": "not available because fewer than 2 sequences" if missing else None,
                    }
                )
    return tables.check(pd.DataFrame(rows), tables.EVALUATION, question)


def verdict(frames: dict[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """The verdict table of made-up evaluations: the best floor is always the Markov chain."""
    rows = []
    for (model, sampler), frame in frames.items():
        wide = frame.pivot_table(index=["metric", "label"], columns="set", values="value", sort=False)
        for (metric, label), row in wide.iterrows():
            gap = row["ceiling"] - row["markov"]
            rows.append(
                {
                    "model": model,
                    "sampler": sampler,
                    "metric": metric,
                    "label": label,
                    "value": row["generated"],
                    "ceiling": row["ceiling"],
                    "best_floor": row["markov"],
                    "floor_name": "markov",
                    "separates": "yes" if gap else "no",
                    "position": (row["generated"] - row["markov"]) / gap if gap else None,
                    "worse_than_ceiling": "no",
                    "lstm": None,
                    "beats_lstm": None,
                    "rank": None,
                    "note": None,
                }
            )
    return pd.DataFrame(rows)


def grammar_json() -> dict:
    return {
        "motifs": {key: {"name": name, "counts": {}} for key, name in MOTIFS.items()},
        "labels": {
            "GM12878": {
                "sites": [
                    {"matrix_id": "MA0139.2", "strand": "+", "probability": 1.0},
                    {"matrix_id": "MA0080.7", "strand": "-", "probability": 0.8},
                ],
                "spacing": [5, 12],
                "module_strand": "either",
            }
        },
    }


def write_results(
    folder: Path, questions=("grammar", "composition", "kmers", "motifs", "likelihood", "novelty")
) -> list[Path]:
    """Write a finished run's files under ``folder/results`` and return their paths."""
    results = folder / "results"
    paths: list[Path] = []

    def keep(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        paths.append(path)
        return path

    def tsv(frame: pd.DataFrame, path: str) -> None:
        frame.to_csv(keep(results / path), sep="\t", index=False)

    tsv(
        pd.DataFrame(
            {"label": LABELS, "train": [1500, 1400, 900], "validation": [200, 180, 120], "test": [210, 190, 130]}
        ),
        "splits/summary.tsv",
    )
    stages = ["beyond_end", "n", "blacklist", "overlap_within_label", "duplicate"]
    funnel = [
        {
            "chrom": chrom,
            "track": f"{label}_dnase",
            "label": label,
            "stage": stage,
            "kept": 1000 - 20 * number,
            "dropped": 20 if number in (1, 3) else 0,
        }
        for chrom in ("chr1", "chr2")
        for label in LABELS
        for number, stage in enumerate(stages)
    ]
    tsv(pd.DataFrame(funnel), "splits/funnel.tsv")
    tsv(
        pd.DataFrame(
            {
                "order": range(4),
                "per_label": "yes",
                "prior": 16.0,
                "validation_bits_per_base": [1.99, 1.95, 1.93, 1.921],
                "test_bits_per_base": [1.99, 1.95, 1.93, 1.917],
                "standard_error": 0.002,
                "chosen": ["no", "no", "no", "yes"],
            }
        ),
        "floors/markov.tsv",
    )
    tsv(
        pd.DataFrame({"name": ["genome"], "source": ["hg38.fa.gz"], "bytes": [938_000_000], "sha256": ["0f" * 32]}),
        "windows/sources.tsv",
    )
    tsv(training(), "models/convnet/training.tsv")
    keep(results / "models/convnet/diffusion.json").write_text(
        json.dumps({"schedule": {"name": "linear"}, "labels": LABELS, "weights_sha256": "0f3a", "parameters": 712345})
    )
    draw_training_curve({"convnet": training()}, 1.921, keep(results / "models/training.svg"))
    figures = {
        "composition": lambda path: draw_composition(*composition(), path),
        "kmers": lambda path: draw_kmers(kmers(), path),
        "motifs": lambda path: draw_motifs(*motifs()[:2], path, motifs()[2]),
        "motif_pairs": lambda path: draw_motif_pairs(*motif_pairs(), path),
        "novelty": lambda path: draw_novelty(novelty(), path),
        "likelihood": lambda path: draw_likelihood(likelihood(), path),
    }
    draw, frames = random(), {}
    for sampler, strength in (("ancestral", 0.75), ("confident", 0.45)):
        place = f"evaluation/convnet/{sampler}"
        parts = [evaluation(question, strength) for question in questions]
        for question, part in zip(questions, parts, strict=True):
            tsv(part, f"{place}/{question}.tsv")
        frames["convnet", sampler] = pd.concat(parts, ignore_index=True)
        for question, draw_figure in figures.items():
            path = keep(results / place / f"{question}.svg")
            if sampler == "ancestral":
                draw_figure(path)
            else:  # the same picture again: drawing takes the time that these tests take
                shutil.copy(results / "evaluation/convnet/ancestral" / path.name, path)
        if "grammar" in questions:
            draw_grammar(parts[questions.index("grammar")], keep(results / place / "grammar.svg"))
        letters = draw.choice(list("ACGT"), (90, 200))
        sequences = pd.DataFrame(
            {
                "name": [f"{sampler}_{number}" for number in range(90)],
                "label": np.repeat(LABELS, 30),
                "seed": range(90),
                "length": 200,
                "bits_per_base": draw.normal(1.9, 0.03, 90),
                "sequence": ["".join(row) for row in letters],
            }
        )
        tables.write_parquet(
            sequences, keep(results / f"sequences/convnet/{sampler}/sequences.parquet"), tables.SEQUENCES
        )
        tables.write_fasta(sequences, keep(results / f"sequences/convnet/{sampler}/sequences.fasta"))
        hits = [
            f"{row.name}\t{start}\t{start + 12}\t{motif}:{name}\t{500 + start}\t+"
            for row in sequences.itertuples()
            for start, (motif, name) in zip((20, 90, 95), MOTIFS.items(), strict=False)
        ]
        alarm = ["all", "unique", 0.3 if sampler == "confident" else 1.0, 1.0, 0.95, 90]
        tsv(
            pd.DataFrame(
                [[*alarm, "yes" if sampler == "confident" else "no"]],
                columns=["label", "measure", "drawn", "training", "limit", "n", "alarm"],
            ),
            f"sequences/convnet/{sampler}/collapse.tsv",
        )
        keep(results / place / "motifs_hits.bed").write_text("\n".join(hits) + "\n")
    judged = verdict(frames)
    tsv(judged, "comparison/verdict.tsv")
    tsv(
        pd.concat([frame.assign(model=model, sampler=sampler) for (model, sampler), frame in frames.items()]),
        "comparison/comparison.tsv",
    )
    draw_comparison(judged, keep(results / "comparison/comparison.svg"))
    if "grammar" in questions:
        keep(folder / "resources/simulation/grammar.json").write_text(json.dumps(grammar_json()))
    return paths
