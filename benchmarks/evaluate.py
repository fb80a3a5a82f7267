"""What the evaluation of many sequences costs, stage by stage, in one run:

- every question of the evaluation as the workflow asks it, of as many generated, held-out and training sequences, with
  JASPAR's vertebrate motifs; each in a process of its own, so that its peak memory is its own;
- scanning for motifs by Biopython, which scores every position of one sequence after the other, on a part of sequences
  and motifs;
- the nearest training sequence by a Python loop over all pairs (edlib, both strands), on a part of the queries.

Goals: under 5 minutes in all on two cores, scanning at least 50 times as fast as Biopython, memory under 4 GiB, cost
linear in the number of sequences but for a look-up of the nearest one.

    python benchmarks/evaluate.py [--number 10000] [--length 200] [--bootstrap 500] [--jobs 2]

CPU seconds of each stage, measured on two cores of a shared server on which nine other processes ran:

    sequences a set        500   2,000  10,000
    composition            0.1     0.3     1.1
    k-mers                 0.6     1.3     4.9
    motifs                 2.6     7.2    32.1
    discovery              4.1    12.4    65.8
    discrimination         1.1     4.7    22.6
    novelty                0.9     6.3    43.8  (0.2 ms a look-up among 2,000 sequences, 0.6 among 10,000)
    likelihood             0.1     0.2     1.3
    function               1.4     3.1    11.2
    in all                10.9    35.5   182.8  (91 s on two cores, were they idle; there, the clock said 712)

Most memory 1.23 GiB. Scanning 401 times as fast as Biopython (0.4 s against 166 for 1,000 sequences by 1,000 motifs),
novelty 48 times as fast as the loop over all pairs. A run of the workflow also judges its floors: each more set adds a
third (motifs, discovery) to a half (the others) of these numbers.

The sequences are those of a Markov chain of order 3, with a site of one of ten motifs in each: what they are hardly
matters to the time. The baselines are timed on a part and scaled up, since both are linear in what is left out. Stages
run ``--jobs`` at a time, as the workflow would run them on as many cores; seconds are those of the clock for the whole,
and of each process's CPU, without making the sequences, for a stage. What a model or an oracle has to say of the
sequences is not in it: the question of function gets made-up embeddings, and likelihood the Markov chain alone.
"""

import argparse
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

from diffusion_bert.evaluation.composition import evaluate_composition
from diffusion_bert.evaluation.discovery import evaluate_discovery
from diffusion_bert.evaluation.discrimination import evaluate_discrimination
from diffusion_bert.evaluation.function import evaluate_function
from diffusion_bert.evaluation.kmers import evaluate_kmers
from diffusion_bert.evaluation.letters import reverse_complement
from diffusion_bert.evaluation.likelihood import MODEL_SCORES, evaluate_likelihood, markov_scores
from diffusion_bert.evaluation.markov import MarkovChain
from diffusion_bert.evaluation.motif_library import load_motifs
from diffusion_bert.evaluation.motifs import evaluate_motifs
from diffusion_bert.evaluation.novelty import evaluate_novelty
from diffusion_bert.evaluation.scan import Target, base_composition, make_scanners
from diffusion_bert.tables import JUDGEMENTS, check, empty

SETS = ("generated", "ceiling", "reference")
P_VALUE = 1e-4
# The parts that the baselines are timed on.
SCANNED, MOTIFS, QUERIES = 20, 20, 4


def make_sets(number: int, length: int) -> pd.DataFrame:
    """A SETS frame of one label."""
    rng = np.random.default_rng(1)
    weights = rng.dirichlet(np.full(4, 8.0), size=64).cumsum(axis=1)
    n = number * len(SETS)
    codes = rng.integers(0, 4, (n, length))
    for place in range(3, length):
        context = codes[:, place - 3] * 16 + codes[:, place - 2] * 4 + codes[:, place - 1]
        codes[:, place] = (rng.random(n)[:, None] > weights[context][:, :3]).sum(axis=1)
    sites = [motif for motif in load_motifs("jaspar", "vertebrates") if 8 <= motif.width <= 14][:10]
    chosen, starts = rng.integers(0, len(sites), n), rng.integers(0, length - 14, n)
    for row in range(n):
        best = sites[chosen[row]].counts.argmax(axis=0)
        codes[row, starts[row] : starts[row] + len(best)] = best
    text = ["".join(row) for row in np.array(list("ACGT"))[codes]]
    names = np.repeat(SETS, number)
    return pd.DataFrame(
        {"set": names, "name": [f"{name}_{i}" for i, name in enumerate(names)], "label": "all", "sequence": text}
    )


def judgements(sets: pd.DataFrame) -> pd.DataFrame:
    """What a judge might say of them: embeddings of 64 numbers."""
    rng = np.random.default_rng(2)
    embedding = rng.normal(size=(len(sets), 64)).astype(np.float32)
    return check(
        pd.DataFrame(
            {
                "set": sets["set"],
                "name": sets["name"],
                "label": sets["label"],
                "predicted": "all",
                "activity": rng.normal(size=len(sets)),
                "probabilities": [np.ones(2, np.float32) / 2] * len(sets),
                "embedding": list(embedding),
            }
        )[list(JUDGEMENTS)],
        JUDGEMENTS,
        "the judgements",
    )


def stages(arguments: argparse.Namespace) -> dict[str, Callable[[pd.DataFrame], object]]:
    options = {"bootstrap": arguments.bootstrap, "seed": 1}

    def novelty(sets: pd.DataFrame) -> object:
        train = sets[sets["set"] == "reference"].assign(chrom=None, start=None, end=None)
        return evaluate_novelty(sets, train, **options)

    def likelihood(sets: pd.DataFrame) -> object:
        chain = MarkovChain.fit(sets["sequence"].tolist(), 3)
        return evaluate_likelihood(sets, empty(MODEL_SCORES), markov_scores(sets, chain), **options)

    library = load_motifs("jaspar", "vertebrates")
    return {
        "composition": lambda sets: evaluate_composition(sets, **options),
        "k-mers": lambda sets: evaluate_kmers(sets, **options),
        "motifs": lambda sets: evaluate_motifs(sets, library, p_value=P_VALUE, **options),
        "discovery": lambda sets: evaluate_discovery(sets, library, number=10, seed=1),
        "discrimination": lambda sets: evaluate_discrimination(sets, **options),
        "novelty": novelty,
        "likelihood": likelihood,
        "function": lambda sets: evaluate_function(judgements(sets), **options),
    }


def measure(name: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """CPU seconds of one stage, and the peak memory (GiB) of the process that ran it."""
    sets = make_sets(arguments.number, arguments.length)
    stage = stages(arguments)[name]
    began = time.process_time()
    stage(sets)
    return time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def scanning(sets: pd.DataFrame) -> tuple[float, float]:
    """CPU seconds for a scan of 1,000 sequences by 1,000 motifs on both strands: ours, and Biopython's."""
    from Bio import motifs
    from Bio.Seq import Seq

    sequences = sets["sequence"].tolist()[:2000]
    scanners = make_scanners(load_motifs("jaspar", "vertebrates"), base_composition(sequences), P_VALUE)
    began = time.process_time()
    target = Target(sequences)
    for scanner in scanners:
        target.scan(scanner)
    ours = (time.process_time() - began) / (len(sequences) * len(scanners))
    some = scanners[:MOTIFS]
    theirs = []
    for scanner in some:
        counts = dict(zip("ACGT", scanner.motif.counts.tolist(), strict=True))
        theirs.append(motifs.Motif(counts=counts).counts.normalize(0.1))
    matrices = [matrix.log_odds() for matrix in theirs]
    began = time.process_time()
    for sequence in sequences[:SCANNED]:
        for matrix in matrices:
            list(matrix.search(Seq(sequence), threshold=8.0))
    slow = (time.process_time() - began) / (SCANNED * len(some))
    return 1e6 * ours, 1e6 * slow


def pairwise(sets: pd.DataFrame) -> float:
    """CPU seconds for the nearest of all training sequences of every generated one, by a loop over all pairs."""
    import edlib

    library = sets.loc[sets["set"] == "reference", "sequence"].tolist()
    queries = sets.loc[sets["set"] == "generated", "sequence"].tolist()
    began = time.process_time()
    for query in queries[:QUERIES]:
        for strand in (query, reverse_complement(query)):
            min(edlib.align(strand, other, mode="HW")["editDistance"] for other in library)
    return (time.process_time() - began) * len(queries) / QUERIES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("number", 10_000), ("length", 200), ("bootstrap", 500), ("jobs", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    names = list(stages(arguments))
    began = time.perf_counter()
    # A process a stage, started afresh: what one leaves behind is no part of another's memory.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=context, max_tasks_per_child=1) as pool:
        found = dict(zip(names, pool.map(measure, names, [arguments] * len(names)), strict=True))
    took = time.perf_counter() - began
    print(f"{arguments.number:,} sequences of {arguments.length} bp a set, {len(SETS)} sets")
    for name, (seconds, memory) in found.items():
        print(f"{name:16s}{seconds:8.1f} CPU seconds{memory:8.2f} GiB")
    spent = sum(seconds for seconds, _ in found.values())
    print(
        f"in all {spent:.1f} CPU seconds: {max(spent / arguments.jobs, *(s for s, _ in found.values())):.0f} s on "
        f"{arguments.jobs} idle cores (goal 300); the clock said {took:.0f}, the sequences' making included"
    )
    print(f"most memory: {max(memory for _, memory in found.values()):.2f} GiB (goal 4)")
    sets = make_sets(arguments.number, arguments.length)
    ours, theirs = scanning(sets)
    print(
        f"scanning: Biopython / ours {theirs / ours:.0f} (goal 50), {theirs:.0f} s against {ours:.1f} for 1,000 x 1,000"
    )
    loop = pairwise(sets)
    print(f"novelty: the loop over all pairs / ours {loop / found['novelty'][0]:.0f} (all of novelty, three sets)")


if __name__ == "__main__":
    main()
