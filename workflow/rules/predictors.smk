# Predictors made elsewhere, by name, that say something of every sequence: functions and tables of the user's.


if PREDICTORS:

    rule apply_predictor:
        """A function is asked, or a table looked up. An edit of the function's file, where it lies here, counts."""
        input:
            sets=f"{RUN}/sets.parquet",
            scores=lambda wildcards: PREDICTORS[wildcards.predictor]["scores"] or [],
            code=predictor_files,
        output:
            f"{RUN}/predictors/{{predictor}}.parquet",
        log:
            "logs/apply_predictor/{model}/{sampler}/{predictor}.log",
        benchmark:
            "results/benchmarks/apply_predictor/{model}/{sampler}/{predictor}.tsv"
        conda:
            lambda wildcards: (
                str(Path.cwd() / PREDICTORS[wildcards.predictor]["conda"])
                if PREDICTORS[wildcards.predictor]["conda"]
                else "../../envs/evaluate.yaml"
            )
        resources:
            mem_mb=8000,
            runtime=240,
        params:
            settings=lambda wildcards: PREDICTORS[wildcards.predictor],
            code=code("apply_predictor"),
        message:
            "Asking {wildcards.predictor} about the sets of {wildcards.model}, {wildcards.sampler}"
        script:
            "../scripts/apply_predictor.py"

    rule evaluate_predictors:
        input:
            [f"{RUN}/predictors/{predictor}.parquet" for predictor in PREDICTORS],
        output:
            evaluation=f"{RUN}/predictors.tsv",
            sequences=f"{RUN}/predictors_sequences.tsv",
        log:
            "logs/evaluate_predictors/{model}/{sampler}.log",
        benchmark:
            "results/benchmarks/evaluate_predictors/{model}/{sampler}.tsv"
        conda:
            "../../envs/evaluate.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            bootstrap=config["evaluation"]["bootstrap"],
            seed=config["seed"],
            code=code("evaluate_predictors"),
        message:
            "Scores of predictors for {wildcards.model}, {wildcards.sampler}"
        script:
            "../scripts/evaluate_predictors.py"
