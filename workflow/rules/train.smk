# From windows to trained models: one folder a model, which can be given to other people.


rule train_model:
    input:
        train=lambda wildcards: training_data(wildcards.model, "train"),
        validation=lambda wildcards: training_data(wildcards.model, "validation"),
        backbone=lambda wildcards: backbone_files(config["models"][wildcards.model]),
    output:
        *model_folder("{model}"),
        curve="results/models/{model}/training.tsv",
    log:
        "logs/train_model/{model}.log",
    benchmark:
        "results/benchmarks/train_model/{model}.tsv"
    # For a training that was stopped, as SLURM does at the time limit: its checkpoint lies outside the outputs, which are
    # removed before it is tried again, and it goes on from there. ``attempt`` tells the script, which does not repeat
    # one that failed by a mistake of the user.
    retries: 3
    conda:
        "../../envs/train.yaml"
    threads: lambda wildcards: config["models"][wildcards.model]["threads"]
    resources:
        mem_mb=6000,
        runtime=720,
        attempt=lambda wildcards, attempt: attempt,
    params:
        settings=lambda wildcards: config["models"][wildcards.model],
        backbone=lambda wildcards: backbone_of(config["models"][wildcards.model]),
        seed=config["seed"],
        checkpoints="results/checkpoints/{model}",
        tracking="results/tracking/{model}",
        code=code("train_model"),
    message:
        "Training model {wildcards.model}"
    script:
        "../scripts/train_model.py"


rule models:
    """Stop when the models are trained."""
    input:
        [model_folder(model) for model in config["models"]],
