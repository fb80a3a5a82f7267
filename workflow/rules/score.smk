# Sequences and variants of the user's own under every model.


SCORE = config.get("score", {"fasta": [], "variants": []})
SCORED = {kind: {entry["name"]: entry for entry in SCORE[kind]} for kind in ("fasta", "variants")}
SCORES = [f"results/scores/{model}/{name}.tsv" for model in LABELLED for name in SCORED["fasta"]]
SCORES += [f"results/scores/{model}/{name}.variants.tsv" for model in LABELLED for name in SCORED["variants"]]

try:
    check_sources(
        {f"score.{kind}, {name}": entry["source"] for kind in SCORED for name, entry in SCORED[kind].items()},
        made=SIMULATION,
    )
except UserError as error:
    raise WorkflowError(str(error))


if SCORES:

    rule download_scored:
        input:
            lambda wildcards: local(SCORED[wildcards.kind][wildcards.name]["source"]),
        output:
            "resources/scored/{kind}/{name}",
        log:
            "logs/download_scored/{kind}/{name}.log",
        wildcard_constraints:
            kind="fasta|variants",
            name="[A-Za-z0-9_-]+",
        localrule: True
        conda:
            "../../envs/resources.yaml"
        resources:
            mem_mb=500,
            runtime=60,
        params:
            source=lambda wildcards: remote(SCORED[wildcards.kind][wildcards.name]["source"]),
            checksum=lambda wildcards: SCORED[wildcards.kind][wildcards.name]["checksum"],
            code=code("download_scored"),
        message:
            "Fetching {wildcards.name}"
        script:
            "../scripts/download_scored.py"


if SCORED["fasta"]:

    rule score_fasta:
        """How probable each sequence is under the model."""
        input:
            model=lambda wildcards: model_folder(wildcards.model),
            fasta="resources/scored/fasta/{name}",
        output:
            "results/scores/{model}/{name}.tsv",
        log:
            "logs/score_fasta/{model}/{name}.log",
        benchmark:
            "results/benchmarks/score_fasta/{model}/{name}.tsv"
        wildcard_constraints:
            name="[A-Za-z0-9_-]+",
        conda:
            "../../envs/score.yaml"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=240,
        params:
            label=lambda wildcards: SCORED["fasta"][wildcards.name]["label"],
            samples=SCORE["samples"],
            seed=config["seed"],
            code=code("score_fasta"),
        message:
            "Scoring the sequences {wildcards.name} under model {wildcards.model}"
        script:
            "../scripts/score_fasta.py"


if SCORED["variants"]:

    rule score_variants:
        """How much more or less probable each alternative allele makes its window."""
        input:
            model=lambda wildcards: model_folder(wildcards.model),
            variants="resources/scored/variants/{name}",
            fasta="resources/genome/genome.fa",
            index="resources/genome/genome.fa.fai",
            aliases=GENOME["aliases"] or [],
        output:
            "results/scores/{model}/{name}.variants.tsv",
        log:
            "logs/score_variants/{model}/{name}.log",
        benchmark:
            "results/benchmarks/score_variants/{model}/{name}.tsv"
        wildcard_constraints:
            name="[A-Za-z0-9_-]+",
        conda:
            "../../envs/score.yaml"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=720,
        params:
            width=config["windows"]["width"],
            label=lambda wildcards: SCORED["variants"][wildcards.name]["label"],
            samples=SCORE["samples"],
            seed=config["seed"],
            code=code("score_variants"),
        message:
            "Scoring the variants {wildcards.name} under model {wildcards.model}"
        script:
            "../scripts/score_variants.py"


rule scores:
    """Stop when the sequences and variants of the key score are scored."""
    input:
        SCORES,
