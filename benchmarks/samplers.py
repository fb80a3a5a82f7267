"""Which sampler is best for a trained model: samplers, temperatures and numbers of steps side by side, over seeds.

    python benchmarks/samplers.py results MODEL [--number 200] [--seeds 1 2 3] [--samplers NAME ...]

``results`` is the folder of a finished run; its model, splits, chain and judge are used. Of every sampler and seed as
many sequences of each label are made, and compared with as many training windows; held-out windows (ceiling), the best
Markov chain (floor) and the LSTM, where the run has one, stand beside them. The table has the mean over seeds and,
after +-, the standard deviation between them. All words are those of the report:

seconds: of the process, for 1,000 sequences, one thread. motifs: Pearson correlation of motif rates with training.
centring: correlation of how central motifs are. 6-mers: Jensen-Shannon distance. AUROC: of gapped k-mers that tell the
set from training, .5 is best. fidelity: share whose label the judge names. activity: Wasserstein distance of the
judge's. identity: median to the nearest training window. unique: share. clusters: per sequence. GC: Wasserstein.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from defaults import sampler_settings

from diffusion_bert.evaluation.composition import evaluate_composition
from diffusion_bert.evaluation.discrimination import evaluate_discrimination
from diffusion_bert.evaluation.function import evaluate_function
from diffusion_bert.evaluation.kmers import evaluate_kmers
from diffusion_bert.evaluation.motif_library import load_motifs
from diffusion_bert.evaluation.motifs import evaluate_motifs
from diffusion_bert.evaluation.novelty import evaluate_novelty
from diffusion_bert.evaluation.rows import ALL, CEILING, GENERATED
from diffusion_bert.evaluation.sets import SETS, match_sets
from diffusion_bert.reproducible import reproducible
from diffusion_bert.sampling.generate import generate
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import JUDGEMENTS, SEQUENCES, WINDOWS, read_parquet, write_parquet
from diffusion_bert.training.checkpoints import load_model_folder

REFINE = {"passes": 2, "threshold": 0.1}
ANCESTRAL = {"order": "ancestral", "steps": 64}
LEFT_TO_RIGHT = {"order": "left_to_right", "steps": 1000}  # one base at a time
SAMPLERS = {
    "ancestral, 16 steps": {**ANCESTRAL, "steps": 16},
    "ancestral, 64 steps": ANCESTRAL,
    "ancestral, 256 steps": {**ANCESTRAL, "steps": 256},
    "ancestral, T .9": {**ANCESTRAL, "temperature": 0.9},
    "ancestral, top-p .95": {**ANCESTRAL, "top_p": 0.95},
    "ancestral, guidance 1": {**ANCESTRAL, "guidance": 1},
    "ancestral, refined": {**ANCESTRAL, "refine": REFINE},
    "ancestral, remasked": {**ANCESTRAL, "steps": 128, "remask": {"strategy": "rescaled", "eta": 0.05}},
    "left to right, 64 steps": {"order": "left_to_right", "steps": 64},
    "left to right": LEFT_TO_RIGHT,
    "left to right, T .9": {**LEFT_TO_RIGHT, "temperature": 0.9},
    "left to right, guidance .5": {**LEFT_TO_RIGHT, "guidance": 0.5},
    "left to right, guidance 1": {**LEFT_TO_RIGHT, "guidance": 1},
    "left to right, refined": {**LEFT_TO_RIGHT, "refine": REFINE},
    "entropy": {"order": "entropy", "steps": 64},
    "entropy bounded, 2 bits": {"order": "entropy_bounded", "entropy_budget": 2},
    "confidence": {"order": "confidence", "steps": 64},
    "entropy, top-p .95, guidance 1, refined": {
        "order": "entropy",
        "steps": 64,
        "top_p": 0.95,
        "guidance": 1,
        "refine": REFINE,
    },
}
# Of the tidy tables: what is shown, and how.
SHOWN = {
    "motif_rate_pearson": ("motifs", "{:.3f}"),
    "motif_centring": ("centring", "{:.3f}"),
    "kmer_js_distance_6": ("6-mers", "{:.3f}"),
    "discrimination_gapped_auroc": ("AUROC", "{:.3f}"),
    "label_fidelity": ("fidelity", "{:.3f}"),
    "oracle_activity_wasserstein": ("activity", "{:.2f}"),
    "nearest_identity": ("identity", "{:.3f}"),
    "unique": ("unique", "{:.3f}"),
    "clusters": ("clusters", "{:.3f}"),
    "gc_wasserstein": ("GC", "{:.4f}"),
}


def judged(results: Path, sets: pd.DataFrame, seed: int) -> pd.DataFrame:
    from diffusion_bert.oracle.oracle import judge_sets

    with tempfile.TemporaryDirectory() as scratch:
        given, out = Path(scratch) / "sets.parquet", Path(scratch) / "judged.parquet"
        write_parquet(sets, given, SETS)
        judge_sets(results / "oracles/judge", given, results / "splits/train.parquet", seed=seed, destination=out)
        return read_parquet(out, JUDGEMENTS)


def measured(results: Path, sets: pd.DataFrame, train: pd.DataFrame, taxon: str, seed: int) -> pd.DataFrame:
    """value by (set, metric), over all labels."""
    how = {"bootstrap": 2, "seed": seed}
    tables = [
        evaluate_motifs(sets, load_motifs("jaspar", taxon), p_value=1e-4, **how)[0],
        evaluate_kmers(sets, sizes=(6,), **how)[0],
        evaluate_discrimination(sets, None, **how)[0],
        evaluate_function(judged(results, sets, seed), **how)[0],
        evaluate_novelty(sets, train, **how)[0],
        evaluate_composition(sets, **how)[0],
    ]
    rows = pd.concat(tables)
    rows = rows[(rows["label"] == ALL) & rows["metric"].isin(SHOWN)]
    return rows.pivot_table(index="set", columns="metric", values="value")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("model")
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=list(SAMPLERS), metavar="NAME")
    parser.add_argument("--taxon", default="vertebrates")
    arguments = parser.parse_args()
    results = arguments.results
    train, test = (read_parquet(results / f"splits/{name}.parquet", WINDOWS) for name in ("train", "test"))
    peers = {"Markov chain": results / "floors/markov.parquet", "LSTM": results / "floors/lstm.parquet"}
    others_made = {name: read_parquet(path, SEQUENCES) for name, path in peers.items() if path.exists()}
    denoiser = load_model_folder(results / "models" / arguments.model)
    labels = sorted(test["label"].unique())
    asked = [labels[i % len(labels)] for i in range(arguments.number)]
    seconds, tables = [], []
    for seed in arguments.seeds:
        lengths = test["sequence"].str.len().sample(arguments.number, replace=True, random_state=seed).tolist()
        made = {}
        for name in arguments.samplers:
            began = time.process_time()
            with reproducible(1):
                made[name] = generate(
                    denoiser,
                    labels=asked,
                    lengths=lengths,
                    sampler=sampler_settings(SAMPLERS[name]),
                    seed=derive_seed(seed, name),
                )
            seconds.append((name, (time.process_time() - began) / arguments.number * 1000))
            print(f"seed {seed}: {name}, {seconds[-1][1]:.0f} s for 1,000", file=sys.stderr, flush=True)
        first, *others = arguments.samplers
        sets = match_sets(made[first], train, test, {**{name: made[name] for name in others}, **others_made}, seed=seed)
        table = measured(results, sets, train, arguments.taxon, seed)
        tables.append(table.rename(index={GENERATED: first, CEILING: "held-out windows"}))
    every = pd.concat(tables)
    mean, spread = every.groupby(level=0).mean(), every.groupby(level=0).std()
    cost = pd.DataFrame(seconds, columns=["set", "seconds"]).groupby("set")["seconds"].mean()
    columns = [metric for metric in SHOWN if metric in mean]
    print("| sampler | seconds | " + " | ".join(SHOWN[metric][0] for metric in columns) + " |")
    print("|---" * (len(columns) + 2) + "|")
    for name in ["held-out windows", *arguments.samplers, *others_made]:
        cells = [name, f"{cost[name]:.0f}" if name in cost else ""]
        for metric in columns:
            form = SHOWN[metric][1]
            cell = form.format(mean.loc[name, metric])
            cells.append(f"{cell} +- {form.format(spread.loc[name, metric])}" if len(arguments.seeds) > 1 else cell)
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
