"""Variants under a model: the window with the reference allele against the window with the alternative one.

Positions are 1-based, as in VCF (version 4.3, https://samtools.github.io/hts-specs/VCFv4.3.pdf).

Both windows have the same width. Each has the middle of its own allele (base ``length // 2``) at ``width // 2``, where
training windows have their centre; so where the alleles differ in length the window of the shorter one reaches further
into the flanks. Both windows and both strands are masked alike: a base of the flanks has one random key in all four,
and so has base i of both alleles.
"""

import difflib
import gzip
import logging
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pysam

from diffusion_bert.diffusion import BITS
from diffusion_bert.errors import UserError
from diffusion_bert.genome.names import some
from diffusion_bert.genome.tracks import read_aliases
from diffusion_bert.likelihood import draw_masks, mean_and_error, nats_of_rows
from diffusion_bert.reproducible import reproducible
from diffusion_bert.seeds import derive_seed
from diffusion_bert.tables import VARIANT_SCORES, write_tsv
from diffusion_bert.training.checkpoints import Denoiser, load_model_folder

_PASSES = 256  # rows that go through the model together
_COMPLEMENT = str.maketrans("ACGT", "TGCA")
# VCF has no IUPAC codes in REF: it writes the first base, by alphabet, of those that the genome's code stands for.
_FIRST_BASE = str.maketrans("RYSWKMBDHV", "ACCAGACAAA")


@dataclass(frozen=True)
class Variant:
    """One alternative allele. pos: 1-based. line: of its file."""

    chrom: str
    pos: int
    id: str | None
    ref: str
    alt: str
    line: int


@dataclass(frozen=True)
class Windows:
    """Both windows of a variant, and which random key each of their bases has, of ``keys`` ones."""

    reference: str
    alternative: str
    reference_keys: np.ndarray
    alternative_keys: np.ndarray
    keys: int


def score_variants(
    model: str | Path,
    source: str | Path,
    fasta: str | Path,
    *,
    width: int,
    label: str | None,
    aliases: str | Path | None,
    samples: int,
    seed: int,
    destination: str | Path,
) -> None:
    """Write VARIANT_SCORES, one row an alternative allele, in the file's order.

    model: a model folder. source: see ``read_variants``. fasta: the indexed genome. width: of the windows, bp.
    label: that all are scored with, None for none. aliases: table of the file's chromosome names and the genome's.
    samples: passes for each allele on each strand.
    What is left out is counted in the log: alternatives that are no sequence, unknown bases, and windows that do not
    fit their allele or chromosome. Raises UserError for what ``read_variants`` refuses, for chromosomes that the genome
    does not have and for reference alleles that are not the genome's.
    """
    left_out: Counter[str] = Counter()
    with pysam.FastaFile(str(fasta)) as genome:
        names = read_aliases(aliases, genome.references) if aliases else {}
        kept, windows = [], []
        for variant in read_variants(source):
            found = windows_of(variant, genome, width, names, source=source)
            if isinstance(found, str):
                left_out[found] += 1
            else:
                kept.append(variant)
                windows.append(found)
    for why, number in left_out.items():
        logging.info("%s: %d alternative alleles left out: %s.", source, number, why)
    if not kept:
        raise UserError(f"{source} holds no variant that can be scored.", "See the log for what was left out, and why.")
    logging.info("%s: %d alternative alleles to score.", source, len(kept))
    seeds = [derive_seed(seed, variant.chrom, variant.pos) for variant in kept]
    with reproducible():
        scores = log2_ratios(load_model_folder(model), windows, label, samples=samples, seeds=seeds)
    table = pd.DataFrame([vars(variant) for variant in kept]).drop(columns="line")
    write_tsv(table.join(scores), destination, VARIANT_SCORES)


def log2_ratios(
    denoiser: Denoiser, windows: list[Windows], label: str | None, *, samples: int, seeds: list[int]
) -> pd.DataFrame:
    """``log2_p_reference, log2_p_alternative, difference, standard_error`` of each pair of windows, bits: bounds on
    log2 p(window), averaged over the strands, and alternative - reference.

    samples: passes for each allele on each strand, the same masks for all four. seeds: one a pair of windows.
    """
    parts = []
    each = max(1, _PASSES // (4 * samples))
    for start in range(0, len(windows), each):
        chunk = slice(start, start + each)
        sequences, keys, draws = [], [], []
        for pair, seed in zip(windows[chunk], seeds[chunk], strict=True):
            drawn = draw_masks(samples, pair.keys, seed)
            for window, of in (
                (pair.reference, pair.reference_keys),
                (pair.alternative, pair.alternative_keys),
            ):
                sequences += [window, window.translate(_COMPLEMENT)[::-1]]
                keys += [of, of[::-1]]
                draws += [drawn, drawn]
        tokenizer = denoiser.tokenizer
        ids, _ = tokenizer.frame(tokenizer.encode(sequences), [label] * len(sequences))
        lengths = tokenizer.bases_per_token[ids]
        # A token's key is that of its first base. Specials and padding have none, and are not masked whatever it is.
        first = np.minimum(np.cumsum(lengths, axis=1) - lengths, [[len(of) - 1] for of in keys])
        masks = ((shift, random[:, of[at]]) for (shift, random), of, at in zip(draws, keys, first, strict=True))
        nats = nats_of_rows(denoiser, ids, masks, batch_size=_PASSES)
        reference, alternative = np.moveaxis(-nats.reshape(-1, 2, 2, nats.shape[1]).mean(axis=2) * BITS, 1, 0)
        difference, error = mean_and_error(alternative - reference)
        parts.append((reference.mean(axis=1), alternative.mean(axis=1), difference, error))
    names = ("log2_p_reference", "log2_p_alternative", "difference", "standard_error")
    return pd.DataFrame(dict(zip(names, map(np.concatenate, zip(*parts, strict=True)), strict=True)))


def windows_of(
    variant: Variant, genome: pysam.FastaFile, width: int, names: Mapping[str, str], *, source: str | Path
) -> Windows | str:
    """The variant's windows, or why it has none. names: the file's chromosome names to the genome's.

    Raises UserError for a chromosome that the genome does not have and a reference allele that is not the genome's.
    """
    where = f"{source}, line {variant.line}"
    chrom = names.get(variant.chrom, variant.chrom)
    if chrom not in genome.references:
        raise UserError(
            f"{where}: the genome has no chromosome {variant.chrom}; it has {some(genome.references)}."
            f"{_suggest(chrom, genome.references)}",
            "Name chromosomes as the genome does, or pair the names in the table of genome.aliases.",
        )
    alleles = (variant.ref, variant.alt)
    left = max(width // 2 - len(allele) // 2 for allele in alleles)
    right = max(width - (width // 2 - len(allele) // 2) - len(allele) for allele in alleles)
    start = variant.pos - 1
    end = start + len(variant.ref)
    outside = "a window that reaches over an end of the chromosome"
    if start < 0:  # VCF's name for a telomere
        return outside
    size = genome.get_reference_length(chrom)
    found = genome.fetch(chrom, start, min(end, size)).upper() if start < size else ""
    if "N" not in variant.ref and found.translate(_FIRST_BASE) != variant.ref:
        raise UserError(
            f"{where}: the reference allele at {variant.chrom}:{variant.pos} is {variant.ref}, but the genome has "
            f"{found or f'no such position (it ends at {size})'} there.",
            "The variants are of another genome build, it seems: give those of genome.source, or lift them over.",
        )
    if why := _no_sequence(variant.alt):
        return why
    if "N" in variant.ref or not set(found) <= set("ACGT"):
        return "an allele with unknown bases"
    if max(map(len, alleles)) > width:
        return f"an allele longer than windows.width ({width} bp)"
    if start < left or end + right > size:
        return outside
    before, after = _letters(genome.fetch(chrom, start - left, start)), _letters(genome.fetch(chrom, end, end + right))
    longest = max(map(len, alleles))
    keys = np.arange(left + longest + right, dtype=np.int32)
    sides = []
    for allele in alleles:
        own = width // 2 - len(allele) // 2
        rest = width - own - len(allele)
        cut = slice(left - own, left)
        sides.append(
            (
                before[cut] + allele + after[:rest],
                np.concatenate([keys[cut], keys[left : left + len(allele)], keys[left + longest :][:rest]]),
            )
        )
    (reference, reference_keys), (alternative, alternative_keys) = sides
    return Windows(reference, alternative, reference_keys, alternative_keys, len(keys))


def read_variants(path: str | Path) -> Iterator[Variant]:
    """The alternative alleles of a VCF (plain, gzip or bgzip, told by its first line), or of a tab-separated table with
    columns chrom, pos (1-based), ref, alt and, if wanted, id; several alternatives are separated by commas.

    Alleles are upper case. Raises UserError, with the line, for a file that is neither, and for an allele or position
    that is none.
    """
    path = Path(path)
    try:
        with (gzip.open if _compression(path) else open)(path, "rt", encoding="utf-8-sig") as handle:
            first = handle.readline()
            header = 1
            for line in handle:
                if not line.startswith("#"):
                    break
                header += 1
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}.", "Give a VCF or a table, as text or gzip.") from error
    if not first.strip():
        raise UserError(f"{path} is empty.", "Give a VCF, or a table with columns chrom, pos, ref and alt.")
    rows = _vcf_rows(path, header) if first.startswith("##fileformat=VCF") else _table_rows(path)
    for chrom, pos, name, ref, alts, line in rows:
        ref = ref.upper()
        if not re.fullmatch("[ACGTN]+", ref):
            raise UserError(
                f"{path}, line {line}: the reference allele {ref!r} is not written in A, C, G, T and N.",
                "Write indels with the base before them, as VCF does.",
            )
        for alt in alts:
            alt = alt if _no_sequence(alt) else alt.upper()
            if not _no_sequence(alt) and not re.fullmatch("[ACGT]+", alt):
                raise UserError(
                    f"{path}, line {line}: the alternative allele {alt!r} is not written in A, C, G, T and N.",
                    "Write indels with the base before them, as VCF does.",
                )
            yield Variant(chrom, pos, name, ref, alt, line)


def _no_sequence(alt: str) -> str | None:
    """Why an alternative allele is no sequence; None for one that is (VCF 4.3, 1.6.1 and 5)."""
    if alt == "*":
        return "a deletion upstream covers it (*)"
    if alt == ".":
        return "there is no alternative (.)"
    if alt.startswith("<"):
        return "symbolic, such as <DEL>"
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return "a breakend"
    return "an allele with unknown bases" if re.fullmatch("[ACGTNacgtn]*[Nn][ACGTNacgtn]*", alt) else None


def _vcf_rows(path: Path, header: int) -> Iterator[tuple[str, int, str | None, str, tuple[str, ...], int]]:
    """header: the number of its lines that begin with #."""
    line = header
    before = pysam.set_verbosity(0)  # htslib would write to the terminal of what we tell
    try:
        with _unpacked(path) as plain, pysam.VariantFile(str(plain)) as records:
            for record in records:
                line += 1
                yield record.chrom, record.pos, record.id, record.ref, record.alts or (".",), line
    except (ValueError, OSError) as error:
        raise UserError(
            f"{path}, line {line + 1}: no VCF ({error}).",
            "Check the header and the tabs there; `bcftools view` on the file tells more.",
        ) from error
    finally:
        pysam.set_verbosity(before)


def _table_rows(path: Path) -> Iterator[tuple[str, int, str | None, str, tuple[str, ...], int]]:
    try:
        table = pd.read_csv(
            path, sep="\t", dtype="str", keep_default_na=False, skip_blank_lines=False, compression=_compression(path)
        )
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is no table: {error}.", "Separate its columns by tabs.") from error
    table.columns = [str(name).lstrip("#").strip().lower() for name in table.columns]
    if missing := [name for name in ("chrom", "pos", "ref", "alt") if name not in table]:
        raise UserError(
            f"{path}, line 1: the column {missing[0]} is missing; the file has {', '.join(table.columns)}.",
            "Give a VCF (its first line is ##fileformat=VCF...), or a table with columns chrom, pos, ref and alt.",
        )
    names = table["id"] if "id" in table else [""] * len(table)
    rows = zip(table["chrom"], table["pos"], names, table["ref"], table["alt"], strict=True)
    for line, (chrom, pos, name, ref, alt) in enumerate(rows, start=2):
        if not any((chrom, pos, ref, alt)):
            continue
        if not re.fullmatch("[1-9][0-9]*", pos):
            raise UserError(f"{path}, line {line}: the position {pos!r} is none.", "Positions count from 1, as in VCF.")
        yield chrom, int(pos), name or None, ref, tuple(alt.split(",")), line


def _compression(path: Path) -> str | None:
    with path.open("rb") as raw:
        return "gzip" if raw.read(2) == b"\x1f\x8b" else None


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """The file, or an unpacked copy while the block lasts: htslib reads bgzip alone, and users have gzip as well."""
    if not _compression(path):
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".vcf") as copy, gzip.open(path) as packed:
        shutil.copyfileobj(packed, copy)
        copy.flush()
        yield Path(copy.name)


def _letters(text: str) -> str:
    return re.sub("[^ACGT]", "N", text.upper())


def _suggest(name: str, known: tuple[str, ...]) -> str:
    candidates = (f"chr{name}", name.removeprefix("chr"), *difflib.get_close_matches(name, known, n=1, cutoff=0.6))
    close = next((candidate for candidate in candidates if candidate in known), None)
    return f" Did you mean {close}?" if close else ""
