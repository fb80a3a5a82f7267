# Evidence: every set of sequences judged by every question, then all runs side by side.


RUN = "results/evaluation/{model}/{sampler}"
QUESTIONS = ["composition", "kmers", "motifs", "novelty", "discrimination", "likelihood"]
if config["evaluation"]["discovery"]:
    QUESTIONS.append("discovery")
if config["evaluation"]["oracle"]:
    QUESTIONS.append("function")
if PREDICTORS:
    QUESTIONS.append("predictors")
if "simulate" in config:
    QUESTIONS.append("grammar")
# What a model is before its first step depends on these of its settings alone.
STARTS_FROM = ["backbone", "architecture", "dropout", "tokenizer", "reinit", "trust_remote_code"]
PROBED = LABELLED if config["evaluation"]["probe_windows"] else []


rule make_floors:
    input:
        train="results/splits/train.parquet",
        validation="results/splits/validation.parquet",
        test="results/splits/test.parquet",
    output:
        shuffle="results/floors/dinucleotide_shuffle.parquet",
        markov="results/floors/markov.parquet",
        uniform="results/floors/uniform.parquet",
        chain="results/floors/markov.npz",
        orders="results/floors/markov.tsv",
    log:
        "logs/make_floors.log",
    benchmark:
        "results/benchmarks/make_floors.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        orders=config["evaluation"]["markov_orders"],
        seed=config["seed"],
        code=code("make_floors"),
    message:
        "Making the floors that a generator must beat"
    script:
        "../scripts/make_floors.py"


rule match_sets:
    """Generated, held-out and floor sequences: equal numbers, label by label."""
    input:
        generated="results/sequences/{model}/{sampler}/sequences.parquet",
        train="results/splits/train.parquet",
        test="results/splits/test.parquet",
        floors=[
            "results/floors/dinucleotide_shuffle.parquet",
            "results/floors/markov.parquet",
            "results/floors/uniform.parquet",
            *LSTM_FLOORS,
        ],
    output:
        f"{RUN}/sets.parquet",
    log:
        "logs/match_sets/{model}/{sampler}.log",
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        seed=config["seed"],
        code=code("match_sets"),
    message:
        "Matching the sets of {wildcards.model}, {wildcards.sampler}"
    script:
        "../scripts/match_sets.py"


rule score_sequences:
    """What the model itself thinks of every set."""
    input:
        model=lambda wildcards: model_folder(wildcards.model),
        sets=f"{RUN}/sets.parquet",
    output:
        f"{RUN}/scores.parquet",
    log:
        "logs/score_sequences/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/score_sequences/{model}/{sampler}.tsv"
    wildcard_constraints:
        model="|".join(map(re.escape, config["models"])) or "none",
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        samples=config["evaluation"]["likelihood_samples"],
        seed=config["seed"],
        code=code("score_sequences"),
    message:
        "Scoring the sets of {wildcards.model}, {wildcards.sampler} under the model"
    script:
        "../scripts/score_sequences.py"


rule evaluate_composition:
    input:
        sets=f"{RUN}/sets.parquet",
    output:
        evaluation=f"{RUN}/composition.tsv",
        sequences=f"{RUN}/composition_sequences.tsv",
        positions=f"{RUN}/composition_positions.tsv",
    log:
        "logs/evaluate_composition/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/evaluate_composition/{model}/{sampler}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        bootstrap=config["evaluation"]["bootstrap"],
        seed=config["seed"],
        code=code("evaluate_composition"),
    message:
        "Composition of {wildcards.model}, {wildcards.sampler}"
    script:
        "../scripts/evaluate_composition.py"


rule evaluate_kmers:
    input:
        sets=f"{RUN}/sets.parquet",
    output:
        evaluation=f"{RUN}/kmers.tsv",
        spectrum=f"{RUN}/kmers_spectrum.tsv",
    log:
        "logs/evaluate_kmers/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/evaluate_kmers/{model}/{sampler}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        bootstrap=config["evaluation"]["bootstrap"],
        seed=config["seed"],
        code=code("evaluate_kmers"),
    message:
        "k-mer spectra of {wildcards.model}, {wildcards.sampler}"
    script:
        "../scripts/evaluate_kmers.py"


rule evaluate_motifs:
    input:
        sets=f"{RUN}/sets.parquet",
        library=local(config["evaluation"]["motifs"]["file"]),
    output:
        evaluation=f"{RUN}/motifs.tsv",
        rates=f"{RUN}/motifs_rates.tsv",
        families=f"{RUN}/motifs_families.tsv",
        positions=f"{RUN}/motifs_positions.tsv",
        enrichment=f"{RUN}/motifs_enrichment.tsv",
        pairs=f"{RUN}/motifs_pairs.tsv",
        spacings=f"{RUN}/motifs_spacings.tsv",
        hits=f"{RUN}/motifs_hits.bed",
        meme=f"{RUN}/motifs.meme",
        matrices=f"{RUN}/motifs_matrices.json",
    log:
        "logs/evaluate_motifs/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/evaluate_motifs/{model}/{sampler}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        bootstrap=config["evaluation"]["bootstrap"],
        motifs=config["evaluation"]["motifs"],
        seed=config["seed"],
        code=code("evaluate_motifs"),
    message:
        "Motifs of {wildcards.model}, {wildcards.sampler}"
    script:
        "../scripts/evaluate_motifs.py"


rule evaluate_discovery:
    """Motifs discovered in generated and in real sequences, nothing being given."""
    input:
        sets=f"{RUN}/sets.parquet",
        library=local(config["evaluation"]["motifs"]["file"]),
    output:
        evaluation=f"{RUN}/discovery.tsv",
        motifs=f"{RUN}/discovery_motifs.tsv",
        matches=f"{RUN}/discovery_matches.json",
        meme=f"{RUN}/discovered.meme",
    log:
        "logs/evaluate_discovery/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/evaluate_discovery/{model}/{sampler}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        number=config["evaluation"]["discovery"],
        library={key: config["evaluation"]["motifs"][key] for key in ("file", "taxon")},
        seed=config["seed"],
        code=code("evaluate_discovery"),
    message:
        "Discovering motifs in {wildcards.model}, {wildcards.sampler}"
    script:
        "../scripts/evaluate_discovery.py"


rule evaluate_novelty:
    input:
        sets=f"{RUN}/sets.parquet",
        train="results/splits/train.parquet",
    output:
        evaluation=f"{RUN}/novelty.tsv",
        sequences=f"{RUN}/novelty_sequences.tsv",
    log:
        "logs/evaluate_novelty/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/evaluate_novelty/{model}/{sampler}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        bootstrap=config["evaluation"]["bootstrap"],
        seed=config["seed"],
        code=code("evaluate_novelty"),
    message:
        "Novelty of {wildcards.model}, {wildcards.sampler}"
    script:
        "../scripts/evaluate_novelty.py"


rule evaluate_discrimination:
    input:
        sets=f"{RUN}/sets.parquet",
        cnn=f"{RUN}/cnn_scores.parquet" if "function" in QUESTIONS else [],
    output:
        evaluation=f"{RUN}/discrimination.tsv",
        giveaways=f"{RUN}/discrimination_giveaways.tsv",
        scores=f"{RUN}/discrimination_scores.tsv",
    log:
        "logs/evaluate_discrimination/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/evaluate_discrimination/{model}/{sampler}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        bootstrap=config["evaluation"]["bootstrap"],
        seed=config["seed"],
        code=code("evaluate_discrimination"),
    message:
        "Telling {wildcards.model}, {wildcards.sampler} from real sequences"
    script:
        "../scripts/evaluate_discrimination.py"


rule evaluate_likelihood:
    input:
        sets=f"{RUN}/sets.parquet",
        # Of sequences made elsewhere there is no model here that could tell.
        scores=lambda wildcards: [] if wildcards.model in EXTERNAL else f"{RUN}/scores.parquet",
        chain="results/floors/markov.npz",
        lstm_scores=f"{RUN}/lstm_scores.parquet" if LSTM else [],
    output:
        evaluation=f"{RUN}/likelihood.tsv",
        sequences=f"{RUN}/likelihood_sequences.tsv",
    log:
        "logs/evaluate_likelihood/{model}/{sampler}.log",
    benchmark:
        "results/benchmarks/evaluate_likelihood/{model}/{sampler}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        bootstrap=config["evaluation"]["bootstrap"],
        seed=config["seed"],
        code=code("evaluate_likelihood"),
    message:
        "Likelihood of {wildcards.model}, {wildcards.sampler}"
    script:
        "../scripts/evaluate_likelihood.py"


if "simulate" in config:

    rule evaluate_grammar:
        input:
            sets=f"{RUN}/sets.parquet",
            grammar=f"{SIMULATION}grammar.json",
        output:
            evaluation=f"{RUN}/grammar.tsv",
            modules=f"{RUN}/grammar_modules.tsv",
            spacings=f"{RUN}/grammar_spacings.tsv",
        log:
            "logs/evaluate_grammar/{model}/{sampler}.log",
        benchmark:
            "results/benchmarks/evaluate_grammar/{model}/{sampler}.tsv"
        conda:
            "../../envs/evaluate.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            bootstrap=config["evaluation"]["bootstrap"],
            seed=config["seed"],
            code=code("evaluate_grammar"),
        message:
            "Planted grammar in {wildcards.model}, {wildcards.sampler}"
        script:
            "../scripts/evaluate_grammar.py"


rule embed_windows:
    """What a model makes of windows, before and after it was trained."""
    input:
        train="results/splits/train.parquet",
        test="results/splits/test.parquet",
        model=lambda wildcards: (
            model_folder(wildcards.model)
            if wildcards.state == "after"
            else backbone_files(config["models"][wildcards.model])
        ),
    output:
        "results/embeddings/{model}/{state}.parquet",
    log:
        "logs/embed_windows/{model}/{state}.log",
    benchmark:
        "results/benchmarks/embed_windows/{model}/{state}.tsv"
    wildcard_constraints:
        state="before|after",
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        settings=lambda wildcards: {key: config["models"][wildcards.model][key] for key in STARTS_FROM},
        backbone=lambda wildcards: backbone_of(config["models"][wildcards.model]),
        most=config["evaluation"]["probe_windows"],
        seed=config["seed"],
        code=code("embed_windows"),
    message:
        "Embedding windows with model {wildcards.model}, {wildcards.state} training"
    script:
        "../scripts/embed_windows.py"


rule probe_labels:
    """What training to generate did to what the model understands."""
    input:
        before="results/embeddings/{model}/before.parquet",
        after="results/embeddings/{model}/after.parquet",
        train="results/splits/train.parquet",
        test="results/splits/test.parquet",
    output:
        "results/understanding/{model}.tsv",
    log:
        "logs/probe_labels/{model}.log",
    benchmark:
        "results/benchmarks/probe_labels/{model}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        bootstrap=config["evaluation"]["bootstrap"],
        seed=config["seed"],
        code=code("probe_labels"),
    message:
        "Probing the embeddings of model {wildcards.model}"
    script:
        "../scripts/probe_labels.py"


rule compare_runs:
    """All runs side by side, and where each stands between the best floor and the ceiling."""
    input:
        per_run(*(f"{RUN}/{question}.tsv" for question in QUESTIONS)),
    output:
        comparison="results/comparison/comparison.tsv",
        verdict="results/comparison/verdict.tsv",
    log:
        "logs/compare_runs.log",
    localrule: True
    conda:
        "../../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        runs=RUNS,
        code=code("compare_runs"),
    message:
        "Comparing the runs"
    script:
        "../scripts/compare_runs.py"


rule evaluation:
    """Stop when every run is evaluated and compared."""
    input:
        rules.compare_runs.output,
        [f"results/understanding/{model}.tsv" for model in PROBED],
