"""Writing narrowPeak as bigBed (bed6+4 with autoSql), as ENCODE distributes it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from Bio.Align import Alignment, Alignments, bigbed
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord

from diffusion_bert.tables import Columns, check, written_beside

# ``peak``: the summit's offset from ``start`` (bp), -1 where none was called. ``score``: whole, 0 to 1000.
NARROW_PEAK: Columns = {
    "chrom": "text",
    "start": "int",
    "end": "int",
    "name": "text",
    "score": "int",
    "strand": "text",
    "signal": "float",
    "p_value": "float",
    "q_value": "float",
    "peak": "int",
}

_AUTOSQL = bigbed.AutoSQLTable(
    "narrowPeak",
    "BED6+4 Peaks of signal enrichment based on pooled, normalized (interpreted) data.",
    [
        bigbed.Field("string", "chrom", "Reference sequence chromosome or scaffold"),
        bigbed.Field("uint", "chromStart", "Start position in chromosome"),
        bigbed.Field("uint", "chromEnd", "End position in chromosome"),
        bigbed.Field("string", "name", "Name given to a region (preferably unique). Use . if no name is assigned"),
        bigbed.Field("uint", "score", "Indicates how dark the peak will be displayed in the browser (0-1000)"),
        bigbed.Field("char[1]", "strand", "+ or - or . for unknown"),
        bigbed.Field("float", "signalValue", "Measurement of average enrichment for the region"),
        bigbed.Field("float", "pValue", "Statistical significance of signal value (-log10). Set to -1 if not used"),
        bigbed.Field("float", "qValue", "Statistical significance with multiple-test correction applied (-log10)"),
        bigbed.Field("int", "peak", "Point-source called for this peak; 0-based offset from chromStart"),
    ],
)


def write_narrow_peaks(peaks: pd.DataFrame, path: str | Path, sizes: Mapping[str, int]) -> None:
    """Write NARROW_PEAK rows, in any order, as bigBed; atomic, and the same bytes for the same rows.

    sizes: chromosome -> length (bp). A bigBed file lists only the chromosomes that have rows.
    Raises UserError where the columns are not NARROW_PEAK's.
    """
    # The format wants chromosomes in alphabetical order.
    peaks = check(peaks, NARROW_PEAK, str(path)).sort_values(["chrom", "start", "end"], kind="stable")
    targets = {name: SeqRecord(Seq(None, length=sizes[name]), id=name) for name in sorted(set(peaks["chrom"]))}
    rows = []
    for peak in peaks.itertuples(index=False):
        size = peak.end - peak.start
        query = SeqRecord(Seq(None, length=size), id=peak.name)
        row = Alignment([targets[peak.chrom], query], np.array([[peak.start, peak.end], [0, size]]))
        row.score = peak.score
        row.annotations = {
            "strand": peak.strand,
            "signalValue": f"{peak.signal:.4f}",
            "pValue": f"{peak.p_value:.4f}",
            "qValue": f"{peak.q_value:.4f}",
            "peak": peak.peak,
        }
        rows.append(row)
    alignments = Alignments(rows)
    alignments.targets = list(targets.values())
    with written_beside(path) as part:
        # Biopython writes '+' or '-' as a sixth BED field; as an extra field the strand may be '.'. The header's
        # count of BED fields (two bytes at offset 34, native order as the rest) is then put right: bed6+4.
        with part.open("wb") as handle:
            bigbed.AlignmentWriter(handle, bedN=5, declaration=_AUTOSQL).write(alignments)
        with part.open("r+b") as handle:
            handle.seek(34)
            handle.write(np.uint16(6).tobytes())
