"""The genome: any usual file to one plain FASTA with its index, and a chromosome of it as an array.

Letters keep their case (lower case marks repeats). The index is samtools' ``.fai``: name, length (bp), offset of the
first base (bytes), bases a line, bytes a line.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyfaidx
import pysam

from diffusion_bert.errors import UserError
from diffusion_bert.genome.names import some
from diffusion_bert.tables import written_beside

_LINE = 100  # bases a line of the FASTA that is written
_CHUNK = 1 << 24
_LETTERS = b"ACGTNRYKMSWBDHVacgtnrykmswbdhv"
_TWO_BIT = (b"\x43\x27\x41\x1a", b"\x1a\x41\x27\x43")


def index_genome(source: str | Path, destination: str | Path) -> dict[str, int]:
    """Write ``destination`` (plain FASTA, names cut at the first space, even lines) and ``destination``.fai.

    source: FASTA, plain, gzip or bgzip, or 2bit of either byte order; recognised by content, not by name.
    Returns the chromosomes' lengths (bp). Holds one chromosome in memory at a time.
    Raises UserError for a file that is neither, a record without sequence, a name twice, a letter that is no IUPAC
    code of DNA (line ends and case aside), and a damaged gzip.
    """
    source, destination = Path(source), Path(destination)
    sizes: dict[str, int] = {}
    with written_beside(destination) as part, written_beside(f"{destination}.fai") as part_fai:
        with part.open("wb") as out:
            for name, sequence in _records(source):
                _check_record(source, name, sequence, sizes)
                out.write(b">" + name.encode() + b"\n")
                _write_lines(out, sequence)
                sizes[name] = len(sequence)
        if not sizes:
            raise UserError(f"{source} holds no sequence.", "Give the genome as FASTA (plain, gzip, bgzip) or 2bit.")
        pysam.faidx(str(part), "--fai-idx", str(part_fai))
    return sizes


def chromosome_sizes(fai: str | Path) -> dict[str, int]:
    """Lengths (bp) by chromosome, in the genome's order. ``fai``: the index that ``index_genome`` wrote."""
    sizes = {}
    for number, line in enumerate(Path(fai).read_text().splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) < 5 or not all(field.isdigit() for field in fields[1:5]):
            raise UserError(
                f"{fai}, line {number}: name, length, offset, bases a line and bytes a line were expected.",
                "Remove the FASTA and its .fai, and run again.",
            )
        sizes[fields[0]] = int(fields[1])
    return sizes


def read_chromosome(fasta: str | Path, chrom: str) -> np.ndarray:
    """One chromosome's letters as they stand in an indexed plain FASTA: uint8 array (length,), ASCII.

    Takes twice the chromosome's length in memory while it reads. Raises UserError when the index has no such name or
    does not fit the file.
    """
    sizes = chromosome_sizes(f"{fasta}.fai")
    if chrom not in sizes:
        raise UserError(
            f"{fasta} has no chromosome {chrom}; it has {some(sizes)}.",
            "Name chromosomes as the genome does (see the first column of its .fai).",
        )
    with pyfaidx.Fasta(str(fasta), rebuild=False, read_long_names=False) as genome:
        record = genome.faidx.index[chrom]
    # Line ends go in one pass over the bytes: nearly twice as fast as pyfaidx's own way through str.
    line_ends = (record.rlen - 1) // record.lenc * (record.lenb - record.lenc)
    with Path(fasta).open("rb") as handle:
        handle.seek(record.offset)
        letters = handle.read(record.rlen + line_ends).translate(None, b"\r\n")
    if len(letters) != record.rlen:
        raise UserError(f"{fasta} is shorter than its index says.", "Remove the FASTA and its .fai, and run again.")
    return np.frombuffer(letters, dtype=np.uint8)


def _check_record(source: Path, name: str, sequence: bytes, seen: dict[str, int]) -> None:
    if name in seen:
        raise UserError(f"{source} has two records named {name}.", "Name each chromosome once.")
    if not sequence:
        raise UserError(f"{source}: record {name} has no sequence.", "Remove the record or give it one.")
    others = sequence.translate(None, _LETTERS)
    if others:
        raise UserError(
            f"{source}: record {name} holds {chr(others[0])!r} ({len(others)} such letters), no letter of DNA.",
            "Give a genome in the letters ACGT, N and the IUPAC codes of DNA.",
        )


def _write_lines(out, sequence: bytes) -> None:
    full = len(sequence) // _LINE
    step = _CHUNK // _LINE
    letters = np.frombuffer(sequence, dtype=np.uint8)
    for low in range(0, full, step):
        high = min(full, low + step)
        lines = np.full((high - low, _LINE + 1), ord("\n"), dtype=np.uint8)
        lines[:, :_LINE] = letters[low * _LINE : high * _LINE].reshape(-1, _LINE)
        out.write(lines)
    if len(sequence) % _LINE:
        out.write(sequence[full * _LINE :] + b"\n")


def _records(source: Path) -> Iterator[tuple[str, bytes]]:
    """Name and letters of each record, line ends taken out."""
    if not source.is_file():
        raise UserError(f"The genome {source} does not exist.", "Give the path of a FASTA or 2bit file.")
    with source.open("rb") as raw:
        magic = raw.read(4)
    if magic in _TWO_BIT:
        yield from _two_bit_records(source)
        return
    with gzip.open(source) if magic[:2] == b"\x1f\x8b" else source.open("rb") as handle:
        try:
            yield from _fasta_records(source, handle)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{source} is damaged: {error}.", "Fetch the file again.") from error


def _two_bit_records(source: Path) -> Iterator[tuple[str, bytes]]:
    from Bio import SeqIO

    with source.open("rb") as handle:
        try:
            for record in SeqIO.parse(handle, "twobit"):
                yield record.id, bytes(record.seq)
        except (ValueError, IndexError) as error:
            raise UserError(f"{source} is damaged: {error}.", "Fetch the file again.") from error


def _fasta_records(source: Path, handle) -> Iterator[tuple[str, bytes]]:
    name, parts = None, []
    for chunk in _whole_lines(handle):
        before, *records = (b"\n" + chunk).split(b"\n>")
        parts.append(before.translate(None, b"\r\n"))
        if parts[-1] and name is None:
            raise UserError(
                f"{source} is no FASTA: it begins with {parts[-1][:20].decode('latin-1')!r}, not with '>'.",
                "Give the genome as FASTA (plain, gzip, bgzip) or 2bit.",
            )
        for record in records:
            if name is not None:
                yield name, b"".join(parts)
            header, _, letters = record.partition(b"\n")
            if not header.split() or header[:1].isspace():
                raise UserError(
                    f"{source}: a record without a name follows {name or 'the beginning of the file'}.",
                    "Write the chromosome's name straight after each '>'.",
                )
            name, parts = header.split()[0].decode("utf-8", "replace"), [letters.translate(None, b"\r\n")]
    if name is not None:
        yield name, b"".join(parts)


def _whole_lines(handle) -> Iterator[bytes]:
    """The file in chunks that end at the end of a line."""
    rest = b""
    while block := handle.read(_CHUNK):
        cut = block.rfind(b"\n") + 1
        if not cut:
            rest += block
            continue
        yield rest + block[:cut]
        rest = block[cut:]
    if rest:
        yield rest
