# Sequences made elsewhere, judged like our own.


if EXTERNAL:

    rule download_external:
        input:
            lambda wildcards: local(EXTERNAL[wildcards.external]["source"]),
        output:
            "resources/external/{external}/{file}",
        log:
            "logs/download_external/{external}/{file}.log",
        wildcard_constraints:
            file="[^/]+",
        localrule: True
        conda:
            "../../envs/resources.yaml"
        resources:
            mem_mb=500,
            runtime=60,
        params:
            source=lambda wildcards: remote(EXTERNAL[wildcards.external]["source"]),
            checksum=lambda wildcards: EXTERNAL[wildcards.external]["checksum"],
            code=code("download_external"),
        message:
            "Fetching the sequences of {wildcards.external}"
        script:
            "../scripts/download_external.py"

    rule read_external:
        input:
            # The file's own name stays, for the format that it tells.
            lambda wildcards: "resources/external/{}/{}".format(
                wildcards.external, Path(EXTERNAL[wildcards.external]["source"].split("?")[0]).name
            ),
        output:
            fasta="results/sequences/{external}/external/sequences.fasta",
            table="results/sequences/{external}/external/sequences.parquet",
        log:
            "logs/read_external/{external}.log",
        conda:
            "../../envs/windows.yaml"
        resources:
            mem_mb=4000,
            runtime=30,
        params:
            format=lambda wildcards: EXTERNAL[wildcards.external]["format"],
            label=lambda wildcards: EXTERNAL[wildcards.external]["label"],
            columns=lambda wildcards: EXTERNAL[wildcards.external]["columns"],
            code=code("read_external"),
        message:
            "Reading the sequences of {wildcards.external}"
        script:
            "../scripts/read_external.py"
