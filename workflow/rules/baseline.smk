# A learned baseline: an autoregressive LSTM on the same windows, a peer of the models that are to be judged.


LSTM = config["evaluation"]["lstm"]
LSTM_FLOORS = ["results/floors/lstm.parquet"] if LSTM else []


if LSTM:

    rule train_lstm:
        input:
            train="results/splits/train.parquet",
            validation="results/splits/validation.parquet",
        output:
            weights="results/baseline/lstm/model.safetensors",
            settings="results/baseline/lstm/lstm.json",
            curve="results/baseline/lstm/training.tsv",
        log:
            "logs/train_lstm.log",
        benchmark:
            "results/benchmarks/train_lstm.tsv"
        # As train_model's.
        retries: 3
        conda:
            "../../envs/train.yaml"
        resources:
            mem_mb=4000,
            runtime=720,
            attempt=lambda wildcards, attempt: attempt,
        params:
            settings=LSTM,
            seed=config["seed"],
            checkpoints="results/checkpoints/baseline/lstm",
            code=code("train_lstm"),
        message:
            "Training the LSTM that a generator must beat"
        script:
            "../scripts/train_lstm.py"

    rule generate_lstm:
        input:
            model=[
                rules.train_lstm.output.weights,
                rules.train_lstm.output.settings,
            ],
            test="results/splits/test.parquet",
        output:
            "results/floors/lstm.parquet",
        log:
            "logs/generate_lstm.log",
        benchmark:
            "results/benchmarks/generate_lstm.tsv"
        conda:
            "../../envs/train.yaml"
        resources:
            mem_mb=4000,
            runtime=120,
        params:
            seed=config["seed"],
            code=code("generate_lstm"),
        message:
            "Generating with the LSTM"
        script:
            "../scripts/generate_lstm.py"

    rule score_sets_lstm:
        """What the LSTM thinks of every set."""
        input:
            model=[
                rules.train_lstm.output.weights,
                rules.train_lstm.output.settings,
            ],
            sets="results/evaluation/{model}/{sampler}/sets.parquet",
        output:
            "results/evaluation/{model}/{sampler}/lstm_scores.parquet",
        log:
            "logs/score_sets_lstm/{model}/{sampler}.log",
        benchmark:
            "results/benchmarks/score_sets_lstm/{model}/{sampler}.tsv"
        conda:
            "../../envs/train.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            code=code("score_sets_lstm"),
        message:
            "Scoring the sets of {wildcards.model}, {wildcards.sampler} under the LSTM"
        script:
            "../scripts/score_sets_lstm.py"
