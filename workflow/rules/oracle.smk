# Oracles: classifiers trained here, that say what a sequence would do. What the guide steers, the judge alone judges.


wildcard_constraints:
    oracle="guide|judge",


rule train_oracle:
    """Labels against shuffles of their windows, learned from the oracle's own half of the training windows."""
    input:
        train="results/splits/train.parquet",
        validation="results/splits/validation.parquet",
    output:
        weights="results/oracles/{oracle}/model.safetensors",
        description="results/oracles/{oracle}/oracle.json",
    log:
        "logs/train_oracle/{oracle}.log",
    benchmark:
        "results/benchmarks/train_oracle/{oracle}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        settings=config["evaluation"]["oracle"],
        seed=config["seed"],
        code=code("train_oracle"),
    message:
        "Training the oracle {wildcards.oracle}"
    script:
        "../scripts/train_oracle.py"


rule evaluate_oracle:
    """How far an oracle can be trusted."""
    input:
        oracle=[
            "results/oracles/{oracle}/oracle.json",
            "results/oracles/{oracle}/model.safetensors",
        ],
        test="results/splits/test.parquet",
    output:
        "results/oracles/{oracle}/performance.tsv",
    log:
        "logs/evaluate_oracle/{oracle}.log",
    benchmark:
        "results/benchmarks/evaluate_oracle/{oracle}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        bootstrap=config["evaluation"]["bootstrap"],
        seed=config["seed"],
        code=code("evaluate_oracle"),
    message:
        "Testing the oracle {wildcards.oracle} on test windows"
    script:
        "../scripts/evaluate_oracle.py"


rule apply_oracle:
    """What the judge says of every set."""
    input:
        oracle=[
            "results/oracles/judge/oracle.json",
            "results/oracles/judge/model.safetensors",
        ],
        sets=f"{RUN}/sets.parquet",
        train="results/splits/train.parquet",
    output:
        f"{RUN}/oracle.parquet",
    log:
        "logs/apply_oracle/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/apply_oracle/{model}/{sampler}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        seed=config["seed"],
        code=code("apply_oracle"),
    message:
        "Judging the sets of {wildcards.model}, {wildcards.sampler}"
    script:
        "../scripts/apply_oracle.py"


rule evaluate_function:
    input:
        judgements=f"{RUN}/oracle.parquet",
    output:
        evaluation=f"{RUN}/function.tsv",
        sequences=f"{RUN}/function_sequences.tsv",
        confusion=f"{RUN}/function_confusion.tsv",
    log:
        "logs/evaluate_function/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/evaluate_function/{model}/{sampler}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        bootstrap=config["evaluation"]["bootstrap"],
        seed=config["seed"],
        code=code("evaluate_function"),
    message:
        "Function of {wildcards.model}, {wildcards.sampler}, in the eyes of the judge"
    script:
        "../scripts/evaluate_function.py"


rule discriminate_sets:
    """Networks that start from the judge's and are trained to tell each set from training windows."""
    input:
        oracle=[
            "results/oracles/judge/oracle.json",
            "results/oracles/judge/model.safetensors",
        ],
        sets=f"{RUN}/sets.parquet",
        train="results/splits/train.parquet",
    output:
        f"{RUN}/cnn_scores.parquet",
    log:
        "logs/discriminate_sets/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/discriminate_sets/{model}/{sampler}.tsv"
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        seed=config["seed"],
        code=code("discriminate_sets"),
    message:
        "Telling the sets of {wildcards.model}, {wildcards.sampler} from training windows"
    script:
        "../scripts/discriminate_sets.py"
