# Pictures, and the one page that says what was done and how good the sequences are.


# One a question, and a second one of motifs.
FIGURES = [*QUESTIONS, "motif_pairs"]


rule draw_training_curve:
    input:
        curves=expand("results/models/{model}/training.tsv", model=LABELLED),
        markov="results/floors/markov.tsv",
    output:
        report(
            "results/models/training.svg",
            caption="../report/training.rst",
            category="Training",
            labels={"figure": "training curve"},
        ),
        "results/models/training.pdf",
    log:
        "logs/draw_training_curve.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        models=LABELLED,
        code=code("draw_training_curve"),
    message:
        "Drawing the training curves"
    script:
        "../scripts/draw_training_curve.py"


rule draw_run:
    """All figures of one run."""
    input:
        composition_sequences=f"{RUN}/composition_sequences.tsv",
        composition_positions=f"{RUN}/composition_positions.tsv",
        kmers_spectrum=f"{RUN}/kmers_spectrum.tsv",
        motifs_rates=f"{RUN}/motifs_rates.tsv",
        motifs_positions=f"{RUN}/motifs_positions.tsv",
        motifs_matrices=f"{RUN}/motifs_matrices.json",
        motifs_pairs=f"{RUN}/motifs_pairs.tsv",
        motifs_spacings=f"{RUN}/motifs_spacings.tsv",
        discovery_motifs=f"{RUN}/discovery_motifs.tsv" if "discovery" in QUESTIONS else [],
        discovery_matches=f"{RUN}/discovery_matches.json" if "discovery" in QUESTIONS else [],
        novelty_sequences=f"{RUN}/novelty_sequences.tsv",
        discrimination=f"{RUN}/discrimination.tsv",
        discrimination_giveaways=f"{RUN}/discrimination_giveaways.tsv",
        likelihood_sequences=f"{RUN}/likelihood_sequences.tsv",
        function_sequences=f"{RUN}/function_sequences.tsv" if "function" in QUESTIONS else [],
        function_confusion=f"{RUN}/function_confusion.tsv" if "function" in QUESTIONS else [],
        oracle_performance="results/oracles/judge/performance.tsv" if "function" in QUESTIONS else [],
        predictors_sequences=f"{RUN}/predictors_sequences.tsv" if PREDICTORS else [],
        grammar=f"{RUN}/grammar.tsv" if "simulate" in config else [],
    output:
        [f"{RUN}/{figure}.pdf" for figure in FIGURES],
        **{
            figure: report(
                f"{RUN}/{figure}.svg",
                caption=f"../report/{figure}.rst",
                category="Evaluation",
                subcategory="{model}, {sampler}",
                labels={
                    "model": "{model}",
                    "sampler": "{sampler}",
                    "figure": figure,
                },
            )
            for figure in FIGURES
        },
    log:
        "logs/draw_run/{model}/{sampler}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("draw_run"),
    message:
        "Drawing the figures of {wildcards.model}, {wildcards.sampler}"
    script:
        "../scripts/draw_run.py"


rule draw_comparison:
    input:
        verdict="results/comparison/verdict.tsv",
        comparison="results/comparison/comparison.tsv",
    output:
        "results/comparison/comparison.pdf",
        "results/comparison/pareto.pdf",
        comparison=report(
            "results/comparison/comparison.svg",
            caption="../report/comparison.rst",
            category="Comparison",
            labels={"figure": "comparison of all runs"},
        ),
        pareto=report(
            "results/comparison/pareto.svg",
            caption="../report/pareto.rst",
            category="Comparison",
            labels={"figure": "activity against naturalness"},
        ),
    log:
        "logs/draw_comparison.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code("draw_comparison"),
    message:
        "Drawing the comparison"
    script:
        "../scripts/draw_comparison.py"


rule write_report:
    input:
        rules.split_windows.output.summary,
        rules.split_windows.output.funnel,
        rules.make_floors.output.orders,
        rules.compare_runs.output,
        rules.draw_comparison.output.comparison,
        rules.draw_comparison.output.pareto,
        rules.draw_training_curve.output[0] if config["models"] else [],
        expand(
            "results/models/{model}/{file}",
            model=config["models"],
            file=["training.tsv", "diffusion.json"],
        ),
        per_run(
            "results/sequences/{model}/{sampler}/sequences.parquet",
            "results/sequences/{model}/{sampler}/sequences.fasta",
            *(f"{RUN}/{question}.tsv" for question in QUESTIONS),
            *(f"{RUN}/{figure}.svg" for figure in FIGURES),
        ),
        [f"results/understanding/{model}.tsv" for model in PROBED],
        [f"{SIMULATION}grammar.json"] if "simulate" in config else [],
        per_run(f"{RUN}/motifs_hits.bed"),
        [f"results/sequences/{model}/{sampler}/collapse.tsv" for model, sampler in GENERATED],
        rules.list_sources.output,
    output:
        report(
            "results/report/index.html",
            caption="../report/report.rst",
            category="Report",
            labels={"page": "the whole report"},
        ),
    log:
        "logs/write_report.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        config=config,
        code=code("write_report"),
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"


rule write_multiqc:
    input:
        "results/comparison/comparison.tsv",
    output:
        "results/report/dna_diffusion_bert_mqc.tsv",
    log:
        "logs/write_multiqc.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=500,
        runtime=5,
    params:
        code=code("write_multiqc"),
    message:
        "Writing the comparison for MultiQC"
    script:
        "../scripts/write_multiqc.py"


rule collect_run_times:
    """What each step took, apart from the report, which is the same whenever it is written."""
    input:
        rules.write_report.output,
    output:
        "results/report/run_times.tsv",
    log:
        "logs/collect_run_times.log",
    localrule: True
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=500,
        runtime=5,
    params:
        benchmarks="results/benchmarks",
        code=code("collect_run_times"),
    message:
        "Collecting run times"
    script:
        "../scripts/collect_run_times.py"


rule report:
    """The report, and all that it rests on."""
    input:
        rules.write_report.output,
        rules.write_multiqc.output,
        rules.collect_run_times.output,
