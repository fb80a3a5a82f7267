"""Windows a CPU-second: this workflow's extraction against a bare loop over peaks, on the same files, in one run.

    python benchmarks/extract.py                  20 tracks x 20,000 peaks, ours and the bare loop
    python benchmarks/extract.py --tracks 20 100  also how the cost grows with the number of tracks
    python benchmarks/extract.py --large          peak memory and time for one chromosome of 250 Mb

Ours is what the workflow's rule does for each chromosome: read all tracks (bigBed narrowPeak), apply all filters (N,
soft-masking, blacklist, overlaps within and between labels), reverse-complement, and write Parquet with provenance and
the funnel. The bare loop is the least that gives sequences: one `entries` call a track and chromosome, one pyfaidx
slice a peak, upper case, nothing filtered, nothing written; once as pyfaidx is mostly used (`bare`, a Sequence object a
slice), once with its two options that save time (`lean`, as_raw and sequence_always_upper).

Each measurement runs in a process of its own, on one thread; CPU seconds are user + system of that process without its
imports, memory is its peak RSS with them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

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
    parser.add_argument("--measure", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(WAYS[arguments.measure](arguments.folder, arguments.tracks[0])))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        simulate(folder, LARGE if arguments.large else CHROMS, max(arguments.tracks), arguments.peaks)
        print(f"{'way':<5}{'tracks':>7}{'peaks':>11}{'windows':>11}{'CPU s':>8}{'peaks/CPU s':>13}{'peak RSS MiB':>14}")
        results = {}
        for tracks in arguments.tracks:
            for way in WAYS:
                row = results[way, tracks] = measured(way, folder, tracks)
                print(
                    f"{way:<5}{tracks:>7}{row['peaks']:>11,}{row['windows']:>11,}{row['seconds']:>8.2f}"
                    f"{row['peaks'] / row['seconds']:>13,.0f}{row['rss']:>14,.0f}",
                    flush=True,
                )
            for way in ("bare", "lean"):
                ratio = results[way, tracks]["seconds"] / results["ours", tracks]["seconds"]
                print(f"ours takes 1/{ratio:.2f} of the CPU seconds of {way}")
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
    used = time.process_time() - seconds
    # Not getrusage: its ru_maxrss starts from the size of the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    rss = int(status["VmHWM"].split()[0]) / 1024
    return {"seconds": used, "peaks": peaks, "windows": windows, "rss": rss}


def ours(folder: Path, tracks: int) -> dict:
    import pyBigWig  # noqa: F401 - these two are imported here so that their time is not counted

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
    return loop(folder, tracks, {}, lambda piece: piece.seq.upper())


def lean(folder: Path, tracks: int) -> dict:
    return loop(folder, tracks, {"as_raw": True, "sequence_always_upper": True}, str)


def loop(folder: Path, tracks: int, options: dict, spell: Callable) -> dict:
    import pyBigWig
    import pyfaidx

    begun, sequences = time.process_time(), []
    genome = pyfaidx.Fasta(str(folder / "genome.fa"), **options)
    for i in range(tracks):
        with pyBigWig.open(str(folder / f"track{i}.bb")) as file:
            for chrom, length in file.chroms().items():
                for start, end, _ in file.entries(chrom, 0, length) or []:
                    low = (start + end) // 2 - WIDTH // 2
                    if low >= 0:
                        sequences.append(spell(genome[chrom][low : low + WIDTH]))
    return usage(begun, len(sequences), len(sequences))


WAYS = {"ours": ours, "bare": bare, "lean": lean}


def simulate(folder: Path, chroms: dict[str, int], tracks: int, peaks: int) -> None:
    """A genome (3 % N, 40 % soft-masked), tracks of narrowPeak rows as bigBed, and a blacklist of 1 %."""
    import pandas as pd

    from diffusion_bert.genome.bigbed import write_narrow_peaks

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
        which = generator.choice(len(names), peaks, p=sizes / sizes.sum())
        length, signal = generator.integers(150, 600, peaks), generator.gamma(2.0, 10.0, peaks)
        start = (generator.random(peaks) * (sizes[which] - 2000)).astype(np.int64) + 500
        frame = pd.DataFrame(
            {
                "chrom": np.array(names, dtype=object)[which],
                "start": start,
                "end": start + length,
                "name": ".",
                "score": np.minimum(1000, signal * 10).astype(np.int64),
                "strand": generator.choice(["+", "-", "."], peaks),
                "signal": signal,
                "p_value": -1.0,
                "q_value": -1.0,
                "peak": (generator.random(peaks) * length).astype(np.int64),
            }
        )
        write_narrow_peaks(frame, folder / f"track{i}.bb", chroms)


if __name__ == "__main__":
    main()
