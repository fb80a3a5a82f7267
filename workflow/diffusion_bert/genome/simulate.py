"""A genome with planted enhancers whose grammar is known: the workflow's embedded data and positive control.

Every file follows from the seed and the settings alone, byte by byte. A region's composition, its repeats and its
gaps stand for what real genomes do to a model; the sites are drawn from real JASPAR matrices, so that a motif scan
and a generative model face weak and strong sites as they do in real enhancers.

Coordinates are bp, 0-based half-open. Bases are coded A 0, C 1, G 2, T 3 (so that 3 - code is the complement), N 4.
"""

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pyjaspar import jaspardb

from diffusion_bert.errors import UserError
from diffusion_bert.genome.bigbed import write_narrow_peaks
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import Columns, write_tsv, written_beside

JASPAR_RELEASE = "JASPAR2026"

# One row a planted site. ``site``: 0-based place in the label's list of sites; ``strand``: that of the genome.
TRUTH: Columns = {
    "chrom": "text",
    "module_start": "int",
    "module_end": "int",
    "module_strand": "text",
    "label": "text",
    "site": "int",
    "matrix_id": "text",
    "name": "text",
    "start": "int",
    "end": "int",
    "strand": "text",
}

# Summits of neighbouring enhancers are at least SLOT - 100 bp apart, so that windows of up to 300 bp never overlap.
SLOT = 400
FLANK = 150
SUMMIT_JITTER = 3
MAX_MODULE = 160
MIN_CHROMOSOME = 10_000
_LETTERS = np.frombuffer(b"ACGTN", np.uint8)
_LINE = 60


def simulate(folder: str | Path, *, settings: Mapping[str, Any], seed: int) -> None:
    """Write ``genome.fa``, ``tracks/``, ``truth.tsv`` and ``grammar.json`` into the folder.

    settings: ``chromosomes`` (their number), ``chromosome_length`` (bp, each), ``enhancers_per_label`` and ``grammar``:
    label -> ``sites`` (``motif``: JASPAR matrix id with version, ``strand``: +, - or either, ``probability``) in their
    order 5' -> 3' on the module, ``spacing`` (lowest and highest number of bp between neighbouring sites, uniform) and
    ``module_strand`` (+ or either). Each site is present with its own probability; an absent one leaves no gap; every
    module holds at least one. The module's middle lies within SUMMIT_JITTER bp of the summit.

    Tracks are named by :func:`track_files`. Peaks have no strand, as those of an accessibility assay. In the bigBed
    files the summit is not the peak's midpoint; in the BED file, which has no summit column, it is.
    Raises UserError where :func:`check_settings` does and where the enhancers do not fit between the gaps.
    """
    motifs = check_settings(settings)
    folder = Path(folder)
    chromosomes, length = settings["chromosomes"], settings["chromosome_length"]
    names = [f"chr{number}" for number in range(1, chromosomes + 1)]

    codes = _background(_generator(seed, "background"), chromosomes * length).reshape(chromosomes, length)
    masked = _add_repeats(_generator(seed, "repeats"), codes)
    gaps = _gaps(_generator(seed, "gaps"), chromosomes, length)
    places = _places(_generator(seed, "places"), gaps, list(settings["grammar"]), settings["enhancers_per_label"])

    truth, tracks = [], {}
    for label, grammar in settings["grammar"].items():
        chrom, summit = places[label]
        rng = _generator(seed, "modules", label)
        sites, signal = _plant(rng, codes, chrom, summit, grammar, motifs)
        truth.append(sites.assign(label=label))
        tracks[label] = pd.DataFrame({"chrom": chrom, "summit": summit, "signal": signal})
    codes[gaps] = 4
    masked &= ~gaps

    _write_genome(folder / "genome.fa", names, codes, masked)
    for label, path in track_files(list(settings["grammar"])).items():
        plain = path.endswith(".bed")
        peaks = _peaks(_generator(seed, "peaks", label), label, tracks[label], names, centred=plain)
        if plain:
            _write_bed(peaks, folder / path)
        else:
            write_narrow_peaks(peaks, folder / path, dict.fromkeys(names, length))
    table = pd.concat(truth).sort_values(["chrom", "module_start", "start"], kind="stable")
    write_tsv(table.assign(chrom=[names[c] for c in table["chrom"]]), folder / "truth.tsv", TRUTH)
    _write_grammar(folder / "grammar.json", settings["grammar"], motifs)


def track_files(labels: list[str]) -> dict[str, str]:
    """Each label's peak file within the folder: narrowPeak bigBed, and plain BED for the last of several labels."""
    last = labels[-1] if len(labels) > 1 else None
    return {label: f"tracks/{label}.{'bed' if label == last else 'bb'}" for label in labels}


def check_settings(settings: Mapping[str, Any]) -> dict[str, tuple[str, np.ndarray]]:
    """The grammar's motifs: matrix id -> (name, counts (width, 4) in the order A, C, G, T).

    Raises UserError, naming the key, for a matrix that JASPAR does not have, a site, spacing or strand out of range,
    a label that cannot be a file's name, a module longer than MAX_MODULE bp and a genome without room.
    """
    if settings["chromosomes"] < 1 or settings["enhancers_per_label"] < settings["chromosomes"]:
        raise UserError(
            f"simulate: {settings['chromosomes']} chromosomes with {settings['enhancers_per_label']} enhancers per "
            "label; at least one chromosome, and one enhancer of each label on each, were expected.",
            "Raise enhancers_per_label or lower chromosomes.",
        )
    if settings["chromosome_length"] < MIN_CHROMOSOME:
        raise UserError(
            f"simulate.chromosome_length: {settings['chromosome_length']} bp is below the least of "
            f"{MIN_CHROMOSOME} bp.",
            "Give longer chromosomes.",
        )
    if not settings["grammar"]:
        raise UserError("simulate.grammar: no label is given.", "Give at least one label with its sites.")
    wanted = {}
    for label, grammar in settings["grammar"].items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:+-]*", label):
            raise UserError(
                f"simulate.grammar: the label {label!r} names a file, so letters, digits and any of _.:+- "
                "were expected.",
                "Rename the label.",
            )
        _check_label(f"simulate.grammar.{label}", grammar)
        for number, site in enumerate(grammar["sites"], start=1):
            wanted.setdefault(site["motif"], f"simulate.grammar.{label}: site {number}")
    motifs = _read_jaspar(wanted)
    for label, grammar in settings["grammar"].items():
        sites = grammar["sites"]
        longest = sum(len(motifs[site["motif"]][1]) for site in sites) + (len(sites) - 1) * grammar["spacing"][1]
        if longest > MAX_MODULE:
            raise UserError(
                f"simulate.grammar.{label}: its sites and widest spacings make {longest} bp; "
                f"a module holds at most {MAX_MODULE} bp.",
                "Take fewer or shorter motifs, or narrower spacing.",
            )
    return motifs


def _check_label(key: str, grammar: Mapping[str, Any]) -> None:
    """Raises UserError for sites, spacing and strands that make no module."""
    if not grammar["sites"]:
        raise UserError(f"{key}.sites: no site is given.", "Give at least one site.")
    low, high = grammar["spacing"]
    if not 0 <= low <= high:
        raise UserError(
            f"{key}.spacing: [{low}, {high}]; [lowest, highest] in bp with 0 <= lowest <= highest was expected.",
            "Put the smaller number first.",
        )
    if grammar["module_strand"] not in ("+", "either"):
        raise UserError(
            f"{key}.module_strand: {grammar['module_strand']!r}; '+' or 'either' was expected.",
            "A module read on '-' is the same as one on '+' with its sites in the other order.",
        )
    for number, site in enumerate(grammar["sites"], start=1):
        if site["strand"] not in ("+", "-", "either"):
            raise UserError(
                f"{key}: site {number} has strand {site['strand']!r}; '+', '-' or 'either' was expected.",
                "Quote the strand in YAML.",
            )
        if not 0 < site["probability"] <= 1:
            raise UserError(
                f"{key}: site {number} has probability {site['probability']}; more than 0, at most 1 was expected.",
                "Leave out a site that is never present.",
            )


def _read_jaspar(wanted: Mapping[str, str]) -> dict[str, tuple[str, np.ndarray]]:
    """Matrix id -> (name, counts (width, 4)); ``wanted`` says for each id where the settings name it."""
    database = jaspardb(release=JASPAR_RELEASE)
    motifs = {}
    try:
        for matrix_id, key in wanted.items():
            found = None
            # An id without version would mean another matrix in another release.
            if re.fullmatch(r"[A-Z0-9]+\.\d+", matrix_id):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # pyjaspar warns of an unknown id; the error below says more
                    found = database.fetch_motif_by_id(matrix_id)
            if found is None:
                raise UserError(
                    f"{key} names the motif {matrix_id!r}, which {JASPAR_RELEASE} does not have; "
                    "a matrix id with its version, such as MA0140.3, was expected.",
                    "Look the id up at https://jaspar.elixir.no.",
                )
            motifs[matrix_id] = (found.name, np.array([found.counts[base] for base in "ACGT"], float).T)
    finally:
        database.conn.close()
    return motifs


def _generator(seed: int, *names: object) -> np.random.Generator:
    """One stream a purpose, so that another grammar leaves background, repeats and gaps as they are."""
    return np.random.default_rng(derive_seed(seed, "simulate", *names))


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Codes (size,): segments of 2 to 6 kb, each an order-2 Markov chain of its own GC content and CpG depletion."""
    longest = 6000
    lengths = rng.integers(2000, longest + 1, size // 2000 + 1)
    lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), size)) + 1]
    segments = len(lengths)
    gc = 0.30 + 0.35 * rng.beta(2, 3, segments)
    weights = np.repeat(np.stack([1 - gc, gc, gc, 1 - gc], 1)[:, None], 16, axis=1).reshape(segments, 4, 4, 4)
    weights = weights * rng.lognormal(0, 0.2, (4, 4, 4))
    weights[:, :, 1, 2] *= np.interp(gc, [0.30, 0.65], [0.25, 1.0])[:, None]
    cumulative = np.cumsum(weights / weights.sum(-1, keepdims=True), axis=-1)[..., :3].astype(np.float32)
    cumulative = cumulative.reshape(segments * 16, 3)
    # All segments grow at once, a base a step: the loop runs over positions of a segment, not over the genome.
    grown = np.empty((longest, segments), np.uint8)
    rows = np.arange(segments) * 16
    context = rng.integers(0, 16, segments)
    for step in range(longest):
        draw = rng.random(segments, dtype=np.float32)
        base = (draw[:, None] > cumulative[rows + context]).sum(1)
        grown[step] = base
        context = (context * 4 + base) % 16
    kept = np.arange(longest)[None, :] < lengths[:, None]
    return grown.T[kept][:size]


def _add_repeats(rng: np.random.Generator, codes: np.ndarray) -> np.ndarray:
    """Write diverged copies of a few repeat families into codes (chromosomes, length); returns where (boolean)."""
    chromosomes, length = codes.shape
    families = [rng.choice(4, size, p=[0.3, 0.2, 0.2, 0.3]).astype(np.uint8) for size in (300, 220, 150, 90)]
    families.append(np.tile(np.array([1, 0], np.uint8), 25))  # a (CA)n microsatellite
    masked = np.zeros(codes.shape, bool)
    for _ in range(codes.size // 2000):
        copy = families[rng.integers(len(families))]
        copy = copy[rng.integers(len(copy) // 2) :].copy()  # many copies lack their beginning, as LINEs do
        mutated = rng.random(len(copy)) < 0.12
        copy[mutated] = (copy[mutated] + rng.integers(1, 4, mutated.sum())) % 4
        if rng.random() < 0.5:
            copy = 3 - copy[::-1]
        chrom, start = rng.integers(chromosomes), rng.integers(length - len(copy))
        codes[chrom, start : start + len(copy)] = copy
        masked[chrom, start : start + len(copy)] = True
    return masked


def _gaps(rng: np.random.Generator, chromosomes: int, length: int) -> np.ndarray:
    """Boolean (chromosomes, length): N at both ends (1 % of the length, at most 10 kb) and two gaps within."""
    gaps = np.zeros((chromosomes, length), bool)
    end = min(length // 100, 10_000)
    gaps[:, :end] = gaps[:, -end:] = True
    for chrom in range(chromosomes):
        for start in rng.integers(2 * end, length - 3 * end, 2):
            gaps[chrom, start : start + end] = True
    return gaps


def _places(
    rng: np.random.Generator, gaps: np.ndarray, labels: list[str], number: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Label -> (chromosome index, summit) of its enhancers in genome order; equally many on each chromosome (+-1).

    At most one enhancer in a slot of SLOT bp that touches no gap, its summit at least FLANK bp from the slot's ends.
    Raises UserError where there are fewer slots than enhancers.
    """
    chromosomes, length = gaps.shape
    slots = length // SLOT
    chroms: dict[str, list] = {label: [] for label in labels}
    summits: dict[str, list] = {label: [] for label in labels}
    for chrom in range(chromosomes):
        free = np.flatnonzero(~gaps[chrom, : slots * SLOT].reshape(slots, SLOT).any(1))
        counts = [
            number // chromosomes + ((chrom + turn) % chromosomes < number % chromosomes) for turn in range(len(labels))
        ]
        if sum(counts) > len(free):
            raise UserError(
                f"simulate: a chromosome of {length} bp has room for {len(free)} enhancers; {sum(counts)} were to "
                "lie on one.",
                "Raise chromosome_length or chromosomes, or lower enhancers_per_label.",
            )
        chosen = rng.permutation(free)
        for label, count in zip(labels, counts, strict=True):
            taken, chosen = np.sort(chosen[:count]), chosen[count:]
            chroms[label].append(np.full(count, chrom))
            summits[label].append(taken * SLOT + rng.integers(FLANK, SLOT - FLANK + 1, count))
    return {label: (np.concatenate(chroms[label]), np.concatenate(summits[label])) for label in labels}


def _plant(
    rng: np.random.Generator,
    codes: np.ndarray,
    chrom: np.ndarray,
    summit: np.ndarray,
    grammar: Mapping[str, Any],
    motifs: Mapping[str, tuple[str, np.ndarray]],
) -> tuple[pd.DataFrame, np.ndarray]:
    """Write one module at each summit into codes; returns TRUTH rows without label, and each module's signal (n,).

    The signal grows with the number of sites and with how well they fit their matrices, times log-normal noise.
    """
    n, sites = len(chrom), grammar["sites"]
    present = np.zeros((n, len(sites)), bool)
    while (without := ~present.any(1)).any():
        present[without] = rng.random((without.sum(), len(sites))) < [site["probability"] for site in sites]
    widths = np.array([len(motifs[site["motif"]][1]) for site in sites])
    spacing = rng.integers(grammar["spacing"][0], grammar["spacing"][1] + 1, (n, len(sites)))
    steps = present * (widths + spacing)
    offsets = np.cumsum(steps, axis=1) - steps
    last = len(sites) - 1 - present[:, ::-1].argmax(1)
    total = steps.sum(1) - spacing[np.arange(n), last]
    start = summit - total // 2 + rng.integers(-SUMMIT_JITTER, SUMMIT_JITTER + 1, n)
    reverse = rng.random(n) < (0.5 if grammar["module_strand"] == "either" else 0.0)

    rows, signal = [], np.zeros(n)
    for number, (site, width) in enumerate(zip(sites, widths, strict=True)):
        name, counts = motifs[site["motif"]]
        probabilities = counts / counts.sum(1, keepdims=True)
        cumulative = np.cumsum(probabilities, axis=1)[:, :3]
        drawn = (rng.random((n, width, 1)) > cumulative).sum(2)
        fit = np.log2(probabilities + 1e-3)[np.arange(width), drawn].sum(1) / width + 2  # at most 2 bits a base
        signal += present[:, number] * (1 + 0.25 * fit)
        minus = rng.random(n) < {"+": 0.0, "-": 1.0, "either": 0.5}[site["strand"]]
        minus ^= reverse
        at = start + np.where(reverse, total - offsets[:, number] - width, offsets[:, number])
        drawn = np.where(minus[:, None], 3 - drawn[:, ::-1], drawn)
        here = present[:, number]
        codes[chrom[here, None], at[here, None] + np.arange(width)] = drawn[here]
        rows.append(
            pd.DataFrame(
                {
                    "chrom": chrom,
                    "module_start": start,
                    "module_end": start + total,
                    "module_strand": np.where(reverse, "-", "+"),
                    "site": number,
                    "matrix_id": site["motif"],
                    "name": name,
                    "start": at,
                    "end": at + width,
                    "strand": np.where(minus, "-", "+"),
                }
            )[here]
        )
    return pd.concat(rows), signal * rng.lognormal(0, 0.15, n)


def _write_genome(path: Path, names: list[str], codes: np.ndarray, masked: np.ndarray) -> None:
    """FASTA in lines of 60; repeats in lower case."""
    with written_beside(path) as part, part.open("wb") as handle:
        for name, row, lower in zip(names, codes, masked, strict=True):
            letters = _LETTERS[row] | (lower.astype(np.uint8) << 5)  # bit 5 makes an ASCII letter lower case
            whole = len(letters) // _LINE * _LINE
            lines = np.full((whole // _LINE, _LINE + 1), ord("\n"), np.uint8)
            lines[:, :_LINE] = letters[:whole].reshape(-1, _LINE)
            rest = letters[whole:].tobytes()
            handle.write(f">{name}\n".encode() + lines.tobytes() + (rest + b"\n" if rest else b""))


def _peaks(
    rng: np.random.Generator, label: str, centres: pd.DataFrame, names: list[str], centred: bool
) -> pd.DataFrame:
    """NARROW_PEAK rows around the summits; their midpoint is the summit (centred) or lies 1 to 30 bp off it."""
    n = len(centres)
    if centred:
        before = after = rng.integers(90, FLANK + 1, n)
    else:
        short, long = rng.integers(90, 120, n), rng.integers(121, FLANK + 1, n)
        turned = rng.random(n) < 0.5
        before, after = np.where(turned, long, short), np.where(turned, short, long)
    signal = centres["signal"]
    return pd.DataFrame(
        {
            "chrom": [names[chrom] for chrom in centres["chrom"]],
            "start": centres["summit"] - before,
            "end": centres["summit"] + after,
            "name": [f"{label}_{number}" for number in range(1, n + 1)],
            "score": np.minimum(np.rint(125 * signal), 1000).astype(int),  # a module of three sites: about 500
            "strand": ".",
            "signal": signal,
            "p_value": 2 * signal,
            "q_value": 1.6 * signal,
            "peak": before,
        }
    )


def _write_bed(peaks: pd.DataFrame, path: Path) -> None:
    """BED6."""
    with written_beside(path) as part:
        columns = ["chrom", "start", "end", "name", "score", "strand"]
        peaks[columns].to_csv(part, sep="\t", index=False, header=False, lineterminator="\n")


def _write_grammar(path: Path, grammar: Mapping[str, Any], motifs: Mapping[str, tuple[str, np.ndarray]]) -> None:
    """The grammar as planted, with its matrices, so that evaluation needs neither config nor database."""
    content = {
        "motifs": {
            matrix_id: {"name": name, "counts": dict(zip("ACGT", counts.T.tolist(), strict=True))}
            for matrix_id, (name, counts) in motifs.items()
        },
        "labels": {
            label: {
                "sites": [
                    {"matrix_id": site["motif"], "strand": site["strand"], "probability": site["probability"]}
                    for site in rules["sites"]
                ],
                "spacing": list(rules["spacing"]),
                "module_strand": rules["module_strand"],
            }
            for label, rules in grammar.items()
        },
    }
    with written_beside(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n")
