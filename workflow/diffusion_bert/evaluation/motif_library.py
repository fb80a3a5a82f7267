"""Motifs to look for: JASPAR CORE by taxon, which the pyjaspar package holds, or a file of the user's."""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diffusion_bert.errors import UserError
from diffusion_bert.tables import written_beside

_LOG = logging.getLogger(__name__)
RELEASE = "JASPAR2026"
TAXA = ("vertebrates", "plants", "fungi", "insects", "nematodes", "urochordates")


@dataclass(frozen=True)
class Motif:
    """matrix_id: unique in its library. counts: observed (or expected) numbers of A, C, G, T, shape (4, width)."""

    matrix_id: str
    name: str
    counts: np.ndarray

    @property
    def width(self) -> int:
        return self.counts.shape[1]


def write_matrices(library: list[Motif], path: str | Path) -> None:
    """Write the motifs' counts as JSON, for logos: ``{matrix_id: {"A": [...], "C": ..., "G": ..., "T": ...}}``."""
    matrices = {motif.matrix_id: dict(zip("ACGT", motif.counts.tolist(), strict=True)) for motif in library}
    with written_beside(path) as part:
        part.write_text(json.dumps(matrices))


def write_meme(library: list[Motif], background: np.ndarray, path: str | Path) -> None:
    """Write the motifs in MEME's minimal format (version 4, https://meme-suite.org/meme/doc/meme-format.html).

    background: shares of A, C, G, T, (4,). ``nsites`` is the largest column sum, rounded; frequencies have six digits.
    White space in a name becomes an underscore.
    """
    lines = ["MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", "", "Background letter frequencies"]
    lines.append(" ".join(f"{base} {share:.6f}" for base, share in zip("ACGT", background, strict=True)))
    for motif in library:
        sums = motif.counts.sum(axis=0)
        names = ("_".join(name.split()) for name in (motif.matrix_id, motif.name))
        lines += ["", f"MOTIF {' '.join(names)}"]
        lines.append(f"letter-probability matrix: alength= 4 w= {motif.width} nsites= {max(round(sums.max()), 1)} E= 0")
        lines += [" " + "  ".join(f"{value:.6f}" for value in column) for column in (motif.counts / sums).T]
    with written_beside(path) as part:
        part.write_text("\n".join(lines) + "\n")


def load_motifs(source: str, taxon: str | None = None) -> list[Motif]:
    """The motifs of ``jaspar`` (CORE collection of one taxon) or of a MEME, JASPAR or TRANSFAC file.

    The file's format is told by its content: "MEME version", a first line that starts with ">", or a TRANSFAC matrix
    (P0 or PO line). Raises UserError for an unknown taxon, and for a file that is absent, empty, malformed, of another
    format, or that holds one matrix name twice.
    """
    if source == "jaspar":
        return _jaspar(taxon)
    path = Path(source)
    if not path.is_file():
        raise UserError(
            f"evaluation.motifs.file: there is no motif file {path}.",
            "Write jaspar, or the path of a file in MEME, JASPAR or TRANSFAC format.",
        )
    text = path.read_text(errors="replace")
    remedy = "Give a file with motifs in MEME, JASPAR or TRANSFAC format."
    try:
        if "MEME version" in text:
            motifs = _meme(text)
        elif text.lstrip().startswith(">"):
            motifs = [Motif(m.matrix_id, m.name, _counts(m)) for m in _biopython(path, "jaspar")]
        elif re.search(r"^P[0O]\s", text, re.MULTILINE):
            motifs = [Motif(*_transfac_names(m, i), _counts(m)) for i, m in enumerate(_biopython(path, "transfac"), 1)]
        else:
            motifs = []
        motifs = [_checked(motif) for motif in motifs]
    except (ValueError, AssertionError, KeyError, IndexError) as error:
        raise UserError(f"{path}: the motif file cannot be read: {error}.", remedy) from error
    if not motifs:
        raise UserError(f"{path}: no motif was found in the file.", remedy)
    names = [motif.matrix_id for motif in motifs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UserError(f"{path}: the motif {repeated[0]} is in the file twice.", "Give every motif a name of its own.")
    return motifs


def _jaspar(taxon: str | None) -> list[Motif]:
    if taxon not in TAXA:
        raise UserError(
            f"evaluation.motifs.taxon is {taxon!r}; JASPAR has {', '.join(TAXA)}.", "Write one of these taxa."
        )
    from pyjaspar import jaspardb

    found = jaspardb(release=RELEASE).fetch_motifs(collection="CORE", tax_group=[taxon])
    _LOG.info("%d motifs of %s CORE, %s", len(found), RELEASE, taxon)
    return sorted((Motif(m.matrix_id, m.name, _counts(m)) for m in found), key=lambda motif: motif.matrix_id)


def _biopython(path: Path, format_name: str) -> list:
    from Bio import motifs

    with path.open() as handle:
        return list(motifs.parse(handle, format_name, **({"strict": False} if format_name == "transfac" else {})))


def _counts(motif) -> np.ndarray:
    return np.array([motif.counts[base] for base in "ACGT"], dtype=np.float64)


def _transfac_names(motif, number: int) -> tuple[str, str]:
    matrix_id = (motif.get("AC") or motif.get("ID") or f"motif_{number}").split()[0]
    return matrix_id, (motif.get("NA") or motif.get("ID") or matrix_id).strip()


def _meme(text: str) -> list[Motif]:
    """MEME's minimal format, with the frequencies as they are (Biopython rounds them to whole counts).

    ``nsites`` (20 where absent, as the format says) turns frequencies into counts.
    """
    motifs = []
    for block in re.split(r"^MOTIF[ \t]+", text, flags=re.MULTILINE)[1:]:
        header, _, body = block.partition("\n")
        words = header.split()
        if not words:
            raise ValueError("a MOTIF line without a name")
        found = re.search(r"^letter-probability matrix:(.*)$", body, re.MULTILINE)
        if not found:
            raise ValueError(f"motif {words[0]} has no letter-probability matrix")
        sites = re.search(r"nsites=\s*([\d.eE+-]+)", found.group(1))
        width = re.search(r"\bw=\s*(\d+)", found.group(1))
        table = []
        for line in body[found.end() :].strip("\n").splitlines():
            try:
                values = [float(word) for word in line.split()]
            except ValueError:
                break
            if len(values) != 4:
                break
            table.append(values)
        if not table or (width and len(table) != int(width.group(1))):
            expected = f"{width.group(1)} rows" if width else "rows"
            raise ValueError(f"the matrix of motif {words[0]} has {len(table)} rows of four numbers, not {expected}")
        counts = np.array(table).T * float(sites.group(1) if sites else 20)
        motifs.append(Motif(words[0], words[1] if len(words) > 1 else words[0], counts))
    return motifs


def _checked(motif: Motif) -> Motif:
    counts = motif.counts
    if counts.ndim != 2 or counts.shape[1] == 0:
        raise ValueError(f"motif {motif.matrix_id} has no column")
    if not np.isfinite(counts).all() or (counts < 0).any() or (counts.sum(axis=0) <= 0).any():
        raise ValueError(f"motif {motif.matrix_id} has a column that is negative, empty or not a number")
    return motif
