"""DNA Diffusion-BERT: from peak tracks and a genome to synthetic regulatory DNA and the evidence of how good it is."""

from snakemake.utils import min_version

min_version("9.0")

# A user's own file (--configfile) is the whole configuration; the embedded default is never mixed into it.
if not workflow.configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/windows.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        rules.report.input,


rule windows:
    """Stop when the windows are extracted and split."""
    input:
        rules.split_windows.output,
