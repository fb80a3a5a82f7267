"""The comparison as a table that MultiQC adds to its own report.

Custom content (https://docs.seqera.io/multiqc/custom_content): a file named ``*_mqc.tsv``, its settings in comments.
"""

import json
from pathlib import Path

import pandas as pd

from diffusion_bert.evaluation.metrics import METRICS
from diffusion_bert.figures import style
from diffusion_bert.figures.standing import repeats
from diffusion_bert.tables import written_beside


def write_multiqc(comparison: pd.DataFrame, path: Path) -> None:
    """One row a run, one column a metric of the generated sequences, all labels together.

    comparison: COMPARISON frame. Metrics without a number in any run, and k-mer metrics that repeat others, are left
    out.
    """
    rows = comparison[(comparison["label"] == "all") & (comparison["set"] == style.GENERATED)].dropna(subset=["value"])
    names = [name for name in METRICS.among(rows["metric"]) if not repeats(name)]
    table = rows.assign(Sample=rows["model"] + " / " + rows["sampler"]).pivot(
        index="Sample", columns="metric", values="value"
    )[names]
    headers = {
        name: {"title": METRICS[name].title, "description": METRICS[name].definition, "format": "{:,.4g}"}
        for name in names
    }
    settings = {
        "id": "dna_diffusion_bert",
        "section_name": "DNA Diffusion-BERT",
        "description": "Generated regulatory DNA, held against training windows.",
        "plot_type": "table",
        "headers": headers,
    }
    with written_beside(path) as part, part.open("w") as file:
        for key, value in settings.items():
            file.write(f"# {key}: {json.dumps(value)}\n")
        table.loc[list(dict.fromkeys(rows["model"] + " / " + rows["sampler"]))].to_csv(file, sep="\t")
