# From a trained model to sequences, by each sampler.


GENERATION = "results/sequences/{model}/{sampler}"
SHARDS = config["generate"]["shards"]
# What the jobs of a run have in common.
ASKED = {
    "number": config["generate"]["number"],
    "labels": config["generate"]["labels"],
    "length": config["generate"]["length"],
    "filters": config["generate"]["filters"],
    "likelihood_samples": config["evaluation"]["likelihood_samples"],
}


rule generate_shard:
    """Some of the sequences of a run, where generate.shards asks for several jobs."""
    input:
        model=lambda wildcards: model_folder(wildcards.model),
        train="results/splits/train.parquet",
        test="results/splits/test.parquet",
        templates=lambda wildcards: config["samplers"][wildcards.sampler]["template"] or [],
        guide=guide_files,
        scorer=scorer_files,
    output:
        temp(f"{GENERATION}/shards/{{shard}}.parquet"),
    log:
        "logs/generate_shard/{model}/{sampler}/{shard}.log",
    benchmark:
        "results/benchmarks/generate_shard/{model}/{sampler}/{shard}.tsv"
    wildcard_constraints:
        model="|".join(map(re.escape, config["models"])) or "none",
        shard="[0-9]+",
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        sampler=lambda wildcards: config["samplers"][wildcards.sampler],
        asked=ASKED,
        shards=SHARDS,
        kept="results/draws/{model}/{sampler}/{shard}.jsonl",
        seed=config["seed"],
        code=code("generate_shard"),
    message:
        "Generating part {wildcards.shard} with model {wildcards.model}, sampler {wildcards.sampler}"
    script:
        "../scripts/generate_shard.py"


rule generate_sequences:
    input:
        model=lambda wildcards: model_folder(wildcards.model),
        train="results/splits/train.parquet",
        test="results/splits/test.parquet",
        templates=lambda wildcards: config["samplers"][wildcards.sampler]["template"] or [],
        guide=guide_files,
        scorer=scorer_files,
        shards=[f"{GENERATION}/shards/{shard}.parquet" for shard in range(SHARDS)] if SHARDS > 1 else [],
    output:
        fasta=f"{GENERATION}/sequences.fasta",
        table=f"{GENERATION}/sequences.parquet",
        filters=f"{GENERATION}/filters.tsv",
        collapse=f"{GENERATION}/collapse.tsv",
    log:
        "logs/generate_sequences/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/generate_sequences/{model}/{sampler}.tsv"
    wildcard_constraints:
        model="|".join(map(re.escape, config["models"])) or "none",
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        sampler=lambda wildcards: config["samplers"][wildcards.sampler],
        asked=ASKED,
        kept="results/draws/{model}/{sampler}/all.jsonl",
        seed=config["seed"],
        code=code("generate_sequences"),
    message:
        "Generating with model {wildcards.model}, sampler {wildcards.sampler}"
    script:
        "../scripts/generate_sequences.py"


rule sequences:
    """Stop when the sequences are generated."""
    input:
        per_run("results/sequences/{model}/{sampler}/sequences.fasta"),
