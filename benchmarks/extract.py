"""Windows a CPU-second: this workflow's extraction against a bare loop over peaks, on the same files, in one run.

    python benchmarks/extract.py                  20 tracks x 20,000 peaks, ours and the bare loop
    python benchmarks/extract.py --tracks 20 100  also how the cost grows with the number of tracks
    python benchmarks/extract.py --large          peak memory and time for one chromosome of 250 Mb

Ours is what the workflow's rule does for each chromosome: read all tracks (bigBed narrowPeak), apply all filters (N,
soft-masking, blacklist, overlaps within and between labels), reverse-complement, and write Parquet with provenance and
the funnel. The bare loop is the least that gives sequences: one `entries` call a track and chromosome, one pyfaidx
slice a peak, upper case, nothing filtered, nothing written. Each measurement runs in a process of its own, on one
thread; CPU seconds are user + system of that process without its imports, memory is its peak RSS with them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CHROMS = {f"chr{number}": 10_000_000 for number in range(1, 13)}
LARGE = {"chr1": 250_000_000}
LABELS = 4
WIDTH = 200
OVERLAP = {"fraction": 0.5, "within_label": "best", "between_labels": "best"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, nargs="+", default=[20], help="numbers of tracks (default: 20)")
    parser.add_argument("--peaks", type=int, default=20_000, help="peaks a track (default: 20,000)")
    parser.add_argument("--large", action="store_true", help="one chromosome of 250 Mb in place of the usual twelve")
    parser.add_argument("--measure", choices=["ours", "bare"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps({"ours": ours, "bare": bare}[arguments.measure](arguments.folder, arguments.tracks[0])))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        simulate(folder, LARGE if arguments.large else CHROMS, max(arguments.tracks), arguments.peaks)
        print(f"{'way':<5}{'tracks':>7}{'peaks':>11}{'windows':>11}{'CPU s':>8}{'peaks/CPU s':>13}{'peak RSS MiB':>14}")
        results = {}
        for tracks in arguments.tracks:
            for way in ("ours", "bare"):
                row = results[way, tracks] = measured(way, folder, tracks)
                print(
                    f"{way:<5}{tracks:>7}{row['peaks']:>11,}{row['windows']:>11,}{row['seconds']:>8.2f}"
                    f"{row['peaks'] / row['seconds']:>13,.0f}{row['rss']:>14,.0f}",
                    flush=True,
                )
            ratio = results["bare", tracks]["seconds"] / results["ours", tracks]["seconds"]
            print(f"ours is {ratio:.2f} times as fast as the bare loop a peak")
        first = arguments.tracks[0]
        for tracks in arguments.tracks[1:]:
            growth = results["ours", tracks]["seconds"] / results["ours", first]["seconds"]
            print(
                f"{first} -> {tracks} tracks: {tracks / first:.1f} times the peaks, {growth:.2f} times the CPU seconds"
            )


def measured(way: str, folder: Path, tracks: int) -> dict:
    command = [sys.executable, __file__, "--measure", way, "--folder", str(folder), "--tracks", str(tracks)]
    threads = {"OMP_NUM_THREADS": "1", "ARROW_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | threads)
    return json.loads(done.stdout)


def usage(seconds: float, peaks: int, windows: int) -> dict:
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.process_time() - seconds, "peaks": peaks, "windows": windows, "rss": rss}


def ours(folder: Path, tracks: int) -> dict:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))
    from diffusion_bert.genome.fasta import chromosome_sizes
    from diffusion_bert.genome.tracks import read_peaks, read_tracks
    from diffusion_bert.genome.windows import extract_windows
    from diffusion_bert.tables import FUNNEL, WINDOWS, write_parquet, write_tsv

    begun, peaks, windows = time.process_time(), 0, 0
    for chrom in chromosome_sizes(folder / "genome.fa.fai"):
        blacklist = read_peaks(folder / "blacklist.bed", track="blacklist", label="blacklist", chrom=chrom)
        rows = read_tracks(
            [((f"track{i}", f"label{i % LABELS}", "auto"), folder / f"track{i}.bb") for i in range(tracks)],
            chrom=chrom,
        )
        frame, funnel = extract_windows(
            folder / "genome.fa", rows, chrom, width=WIDTH, jitter=10, max_lower_case=0.9, blacklist=blacklist,
            overlap=OVERLAP,
        )  # fmt: skip
        write_parquet(frame, folder / "ours" / f"{chrom}.parquet", WINDOWS)
        write_tsv(funnel, folder / "ours" / f"{chrom}.funnel.tsv", FUNNEL)
        peaks, windows = peaks + len(rows), windows + len(frame)
    return usage(begun, peaks, windows)


def bare(folder: Path, tracks: int) -> dict:
    import pyBigWig
    import pyfaidx

    begun, sequences = time.process_time(), []
    genome = pyfaidx.Fasta(str(folder / "genome.fa"), as_raw=True, sequence_always_upper=True)
    for i in range(tracks):
        with pyBigWig.open(str(folder / f"track{i}.bb")) as file:
            for chrom, length in file.chroms().items():
                for start, end, _ in file.entries(chrom, 0, length) or []:
                    low = (start + end) // 2 - WIDTH // 2
                    if low >= 0:
                        sequences.append(genome[chrom][low : low + WIDTH])
    return usage(begun, len(sequences), len(sequences))


def simulate(folder: Path, chroms: dict[str, int], tracks: int, peaks: int) -> None:
    """A genome (3 % N, 40 % soft-masked), tracks of narrowPeak rows as bigBed, and a blacklist of 1 %."""
    generator = np.random.default_rng(1)
    with (folder / "genome.fa").open("wb") as fasta, (folder / "genome.fa.fai").open("w") as index:
        for chrom, length in chroms.items():
            letters = np.frombuffer(b"ACGT", dtype=np.uint8)[generator.integers(0, 4, length, dtype=np.uint8)]
            for low in range(0, length - 1000, 1000):
                if low % 10_000 < 4000:
                    letters[low : low + 1000] += 32
            letters[: length * 3 // 200] = letters[length - length * 3 // 200 :] = ord("N")
            fasta.write(f">{chrom}\n".encode())
            index.write(f"{chrom}\t{length}\t{fasta.tell()}\t100\t101\n")
            lines = np.full((length // 100, 101), ord("\n"), dtype=np.uint8)
            lines[:, :100] = letters.reshape(-1, 100)
            fasta.write(lines)
    with (folder / "blacklist.bed").open("w") as bed:
        for chrom, length in chroms.items():
            bed.writelines(f"{chrom}\t{low}\t{low + 1000}\tHigh Signal Region\n" for low in range(0, length, 100_000))
    names, sizes = sorted(chroms), np.array([chroms[chrom] for chrom in sorted(chroms)])
    for i in range(tracks):
        which = np.sort(generator.choice(len(names), peaks, p=sizes / sizes.sum()))
        start = (generator.random(peaks) * (sizes[which] - 2000)).astype(np.int64) + 500
        order = np.lexsort((start, which))
        write_bigbed(folder / f"track{i}.bb", {n: chroms[n] for n in names}, which[order], start[order], generator)


def write_bigbed(path: Path, chroms: dict[str, int], which, start, generator) -> None:
    from Bio.Align import Alignment, Alignments, bigbed
    from Bio.Seq import Seq
    from Bio.SeqRecord import SeqRecord

    declaration = bigbed.AutoSQLTable(
        "narrowPeak",
        "peaks",
        [
            bigbed.Field(as_type, name, name)
            for as_type, name in (
                ("string", "chrom"), ("uint", "chromStart"), ("uint", "chromEnd"), ("string", "name"),
                ("uint", "score"), ("char[1]", "strand"), ("float", "signalValue"), ("float", "pValue"),
                ("float", "qValue"), ("int", "peak"),
            )
        ],
    )  # fmt: skip
    targets = [SeqRecord(Seq(None, length=length), id=name) for name, length in chroms.items()]
    length = generator.integers(150, 600, len(start))
    summit = (generator.random(len(start)) * length).astype(int)
    signal = generator.gamma(2.0, 10.0, len(start))
    rows = []
    for i, (code, low, size) in enumerate(zip(which.tolist(), start.tolist(), length.tolist(), strict=True)):
        query = SeqRecord(Seq(None, length=size), id=f"peak{i}")
        alignment = Alignment([targets[code], query], np.array([[low, low + size], [0, size]]))
        alignment.score = min(1000, int(signal[i] * 10))
        alignment.annotations = {
            "signalValue": f"{signal[i]:.3f}", "pValue": "-1", "qValue": "-1", "peak": str(summit[i])
        }  # fmt: skip
        rows.append(alignment)
    rows = Alignments(rows)
    rows.targets = targets
    with path.open("wb") as out:
        bigbed.AlignmentWriter(out, bedN=6, declaration=declaration, compress=True).write(rows)


if __name__ == "__main__":
    main()
