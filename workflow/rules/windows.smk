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

    rule tile_genome:
        """What models of tiles learn from: the training chromosomes, evenly cut, without labels."""
        input:
            fasta="resources/genome/genome.fa",
            index="resources/genome/genome.fa.fai",
            aliases=GENOME["aliases"] or [],
            blacklist=("resources/genome/blacklist.bed" if GENOME["blacklist"] else []),
        output:
            train="results/tiles/train.parquet",
            validation="results/tiles/validation.parquet",
            funnel="results/tiles/funnel.tsv",
        log:
            "logs/tile_genome.log",
        benchmark:
            "results/benchmarks/tile_genome.tsv"
        conda:
            "../../envs/windows.yaml"
        resources:
            mem_mb=8000,
            runtime=60,
        params:
            chroms=CHROMS,
            validation=SPLIT["validation"],
            test=SPLIT["test"],
            tiles=config["tiles"],
            seed=config["seed"],
            code=code("tile_genome"),
        message:
            "Cutting the genome into tiles"
        script:
            "../scripts/tile_genome.py"

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


rule list_sources:
    """What the results rest on, byte by byte."""
    input:
        [path for _, _, path in SOURCES],
    output:
        "results/windows/sources.tsv",
    log:
        "logs/list_sources.log",
    localrule: True
    conda:
        "../../envs/windows.yaml"
    resources:
        mem_mb=500,
        runtime=30,
    params:
        names=[name for name, _, _ in SOURCES],
        sources=[source for _, source, _ in SOURCES],
        code=code("list_sources"),
    message:
        "Listing the sources"
    script:
        "../scripts/list_sources.py"


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
