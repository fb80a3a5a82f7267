# From peaks to fixed-width labelled windows, and which of them train, validate and test.


if GENOME:

    rule check_inputs:
        """Every chromosome and track must fit the genome before anything expensive starts."""
        input:
            index="resources/genome/genome.fa.fai",
            tracks=expand("resources/tracks/{track}", track=TRACKS),
            aliases=GENOME["aliases"] or [],
        output:
            "results/windows/peaks.tsv",
        log:
            "logs/check_inputs.log",
        localrule: True
        conda:
            "../../envs/windows.yaml"
        resources:
            mem_mb=1000,
            runtime=15,
        params:
            chroms=CHROMS,
            tracks=[(track["name"], track["label"], track["format"]) for track in TRACKS.values()],
            width=config["windows"]["width"],
            code=code("check_inputs"),
        message:
            "Checking tracks against the genome"
        script:
            "../scripts/check_inputs.py"

    rule extract_windows:
        input:
            checked="results/windows/peaks.tsv",
            fasta="resources/genome/genome.fa",
            index="resources/genome/genome.fa.fai",
            tracks=expand("resources/tracks/{track}", track=TRACKS),
            aliases=GENOME["aliases"] or [],
            blacklist=("resources/genome/blacklist.bed" if GENOME["blacklist"] else []),
        output:
            windows="results/windows/{chrom}.parquet",
            funnel="results/windows/{chrom}.funnel.tsv",
        log:
            "logs/extract_windows/{chrom}.log",
        benchmark:
            "results/benchmarks/extract_windows/{chrom}.tsv"
        conda:
            "../../envs/windows.yaml"
        resources:
            mem_mb=3000,
            runtime=30,
        params:
            tracks=[(track["name"], track["label"], track["format"]) for track in TRACKS.values()],
            windows=config["windows"],
            seed=config["seed"],
            code=code("extract_windows"),
        message:
            "Extracting the windows of {wildcards.chrom}"
        script:
            "../scripts/extract_windows.py"

else:

    rule read_sequences:
        input:
            expand("resources/sequences/{file}", file=SEQUENCES),
        output:
            windows="results/windows/sequences.parquet",
            funnel="results/windows/sequences.funnel.tsv",
        log:
            "logs/read_sequences.log",
        benchmark:
            "results/benchmarks/read_sequences.tsv"
        conda:
            "../../envs/windows.yaml"
        resources:
            mem_mb=4000,
            runtime=30,
        params:
            labels=[file["label"] for file in SEQUENCES.values()],
            format=config["sequences"]["format"],
            columns=config["sequences"]["columns"],
            width=config["windows"]["width"],
            max_n=config["windows"]["max_n"],
            code=code("read_sequences"),
        message:
            "Reading the labelled sequences"
        script:
            "../scripts/read_sequences.py"


rule split_windows:
    input:
        windows=windows_files("parquet"),
        funnels=windows_files("funnel.tsv"),
    output:
        train="results/splits/train.parquet",
        validation="results/splits/validation.parquet",
        test="results/splits/test.parquet",
        summary="results/splits/summary.tsv",
        funnel="results/splits/funnel.tsv",
    log:
        "logs/split_windows.log",
    benchmark:
        "results/benchmarks/split_windows.tsv"
    conda:
        "../../envs/windows.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        split=SPLIT,
        seed=config["seed"],
        code=code("split_windows"),
    message:
        "Splitting windows into training, validation and test"
    script:
        "../scripts/split_windows.py"
