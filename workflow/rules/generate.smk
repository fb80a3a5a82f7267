# From a trained model to sequences, by each sampler.


rule generate_sequences:
    input:
        model=lambda wildcards: model_folder(wildcards.model),
        train="results/splits/train.parquet",
        test="results/splits/test.parquet",
    output:
        fasta="results/sequences/{model}/{sampler}/sequences.fasta",
        table="results/sequences/{model}/{sampler}/sequences.parquet",
    log:
        "logs/generate_sequences/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/generate_sequences/{model}/{sampler}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        sampler=lambda wildcards: config["samplers"][wildcards.sampler],
        number=config["generate"]["number"],
        labels=config["generate"]["labels"],
        length=config["generate"]["length"],
        likelihood_samples=config["evaluation"]["likelihood_samples"],
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
