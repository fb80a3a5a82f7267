# What the run starts from: the simulated data of the embedded default, or the genome and tracks that the user names.


if "simulate" in config:

    rule simulate_data:
        output:
            genome=f"{SIMULATION}genome.fa",
            truth=f"{SIMULATION}truth.tsv",
            grammar=f"{SIMULATION}grammar.json",
            tracks=[track["source"] for track in TRACKS.values() if track["source"].startswith(SIMULATION)],
        log:
            "logs/simulate_data.log",
        benchmark:
            "results/benchmarks/simulate_data.tsv"
        conda:
            "../../envs/windows.yaml"
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            settings=config["simulate"],
            seed=config["seed"],
            code=code("simulate_data"),
        message:
            "Simulating a genome with planted enhancers"
        script:
            "../scripts/simulate_data.py"


if GENOME:

    rule download_genome:
        input:
            local(GENOME["source"]),
        output:
            "resources/genome/source",
        log:
            "logs/download_genome.log",
        localrule: True
        conda:
            "../../envs/resources.yaml"
        resources:
            mem_mb=500,
            runtime=240,
        params:
            source=remote(GENOME["source"]),
            checksum=GENOME["checksum"],
            code=code("download_genome"),
        message:
            "Fetching the genome"
        script:
            "../scripts/download_genome.py"

    rule index_genome:
        input:
            "resources/genome/source",
        output:
            fasta="resources/genome/genome.fa",
            index="resources/genome/genome.fa.fai",
        log:
            "logs/index_genome.log",
        benchmark:
            "results/benchmarks/index_genome.tsv"
        conda:
            "../../envs/windows.yaml"
        resources:
            mem_mb=1000,
            runtime=30,
        params:
            code=code("index_genome"),
        message:
            "Unpacking and indexing the genome"
        script:
            "../scripts/index_genome.py"

    rule download_track:
        input:
            lambda wildcards: local(TRACKS[wildcards.track]["source"]),
        output:
            "resources/tracks/{track}",
        log:
            "logs/download_track/{track}.log",
        localrule: True
        conda:
            "../../envs/resources.yaml"
        resources:
            mem_mb=500,
            runtime=60,
        params:
            source=lambda wildcards: remote(TRACKS[wildcards.track]["source"]),
            checksum=lambda wildcards: TRACKS[wildcards.track]["checksum"] or None,
            format=lambda wildcards: TRACKS[wildcards.track]["format"],
            code=code("download_track"),
        message:
            "Fetching track {wildcards.track}"
        script:
            "../scripts/download_track.py"

    if GENOME["blacklist"]:

        rule download_blacklist:
            input:
                local(GENOME["blacklist"]),
            output:
                "resources/genome/blacklist.bed",
            log:
                "logs/download_blacklist.log",
            localrule: True
            conda:
                "../../envs/resources.yaml"
            resources:
                mem_mb=500,
                runtime=10,
            params:
                source=remote(GENOME["blacklist"]),
                checksum=None,
                code=code("download_blacklist"),
            message:
                "Fetching the blacklist"
            script:
                "../scripts/download_blacklist.py"

else:

    rule download_sequences:
        input:
            lambda wildcards: local(SEQUENCES[wildcards.file]["source"]),
        output:
            "resources/sequences/{file}",
        log:
            "logs/download_sequences/{file}.log",
        localrule: True
        conda:
            "../../envs/resources.yaml"
        resources:
            mem_mb=500,
            runtime=60,
        params:
            source=lambda wildcards: remote(SEQUENCES[wildcards.file]["source"]),
            checksum=lambda wildcards: SEQUENCES[wildcards.file]["checksum"],
            code=code("download_sequences"),
        message:
            "Fetching {wildcards.file}"
        script:
            "../scripts/download_sequences.py"


rule download_backbone:
    output:
        # The product is the folder: weights, configuration and tokenizer lie beside this file, which is written last and
        # lists them. Which they are is known only once the repository has been asked.
        "resources/backbones/{backbone}/source.json",
    log:
        "logs/download_backbone/{backbone}.log",
    localrule: True
    conda:
        "../../envs/resources.yaml"
    resources:
        mem_mb=500,
        runtime=240,
    params:
        source=lambda wildcards: BACKBONES[wildcards.backbone]["source"],
        revision=lambda wildcards: BACKBONES[wildcards.backbone]["revision"],
        python=lambda wildcards: BACKBONES[wildcards.backbone]["code"],
        code=code("download_backbone"),
    message:
        "Fetching the backbone {wildcards.backbone}"
    script:
        "../scripts/download_backbone.py"
