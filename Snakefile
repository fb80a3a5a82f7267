"""DNA Diffusion-BERT: from peak tracks and a genome to synthetic regulatory DNA and the evidence of how good it is."""

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")

# A user's own file (--configfile) is the whole configuration; the embedded default is never mixed into it.
if not workflow.configfiles:
    if not Path("config/config.yaml").is_file():
        raise WorkflowError(
            f"There is no config/config.yaml in {Path.cwd()}. "
            "Copy the folder config/ of the checkout there, or name a file with --configfile."
        )

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/windows.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/baseline.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/external.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/oracle.smk"
include: "workflow/rules/predictors.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/library.smk"


remember(CODE_MEMORY)


rule all:
    default_target: True
    input:
        rules.report.input,
        rules.scores.input,
        library_files(None) if "library" in config else [],


rule windows:
    """Stop when the windows are extracted and split."""
    input:
        rules.split_windows.output,
