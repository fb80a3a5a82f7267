"""What each step took: Snakemake's benchmark tables in one."""

from pathlib import Path

import pandas as pd

from diffusion_bert.tables import RUN_TIMES, write_tsv


def collect_run_times(folder: str | Path, destination: str | Path) -> None:
    """Write RUN_TIMES from the tables below ``folder`` (``{rule}.tsv`` or ``{rule}/{wildcards}.tsv``), longest first.

    Of a step that was measured more than once, the last line counts. What Snakemake could not measure is null.
    """
    rows = []
    for path in sorted(Path(folder).rglob("*.tsv")):
        last = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[-1]
        rule, *of = path.relative_to(folder).with_suffix("").parts
        rows.append((rule, "/".join(of) or None, last["s"], last["cpu_time"], last["max_rss"]))
    frame = pd.DataFrame(rows, columns=list(RUN_TIMES))
    write_tsv(frame.sort_values("seconds", ascending=False, kind="stable"), destination, RUN_TIMES)
