# A library to order: the best of the generated sequences beside their controls, as oligos.


LIBRARY = config.get("library")


if LIBRARY is not None:
    LIBRARY_RUNS = library_runs(config)
    # What makes an oligo, and what of that the choice depends on.
    OLIGO = {key: LIBRARY[key] for key in ("adapters", "barcodes", "forbidden", "max_homopolymer", "gc", "longest")}
    TAG = LIBRARY["barcodes"] and {"length": LIBRARY["barcodes"]["length"]}
    CHOICE = {**OLIGO, "barcodes": TAG, **{key: LIBRARY[key] for key in ("number", "top", "controls")}}

    rule choose_library:
        """Designs that are active in the eyes of the guide and far apart, and controls. The judge has no part in it."""
        input:
            guide=[
                "results/oracles/guide/oracle.json",
                "results/oracles/guide/model.safetensors",
            ],
            sequences=[f"results/sequences/{model}/{sampler}/sequences.parquet" for model, sampler in LIBRARY_RUNS],
            test="results/splits/test.parquet",
        output:
            candidates="results/library/candidates.tsv",
            inserts="results/library/inserts.tsv",
            account="results/library/account.tsv",
            diversity="results/library/diversity.tsv",
        log:
            "logs/choose_library.log",
        benchmark:
            "results/benchmarks/choose_library.tsv"
        conda:
            "../../envs/train.yaml"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            runs=[f"{model}/{sampler}" for model, sampler in LIBRARY_RUNS],
            settings=CHOICE,
            seed=config["seed"],
            code=code("choose_library"),
        message:
            "Choosing the sequences of the library"
        script:
            "../scripts/choose_library.py"

    rule order_library:
        """Inserts with adapters and barcodes, as a supplier wants them."""
        input:
            inserts="results/library/inserts.tsv",
            train="results/splits/train.parquet",
        output:
            table="results/library/oligos.tsv",
            fasta="results/library/oligos.fasta",
        log:
            "logs/order_library.log",
        conda:
            "../../envs/evaluate.yaml"
        resources:
            mem_mb=4000,
            runtime=30,
        params:
            settings=OLIGO,
            seed=config["seed"],
            code=code("order_library"),
        message:
            "Writing the oligos of the library"
        script:
            "../scripts/order_library.py"

    rule draw_library:
        input:
            candidates="results/library/candidates.tsv",
            inserts="results/library/inserts.tsv",
            diversity="results/library/diversity.tsv",
        output:
            report(
                "results/library/library.svg",
                caption="../report/library.rst",
                category="Library",
                labels={"figure": "what was chosen from what"},
            ),
            "results/library/library.pdf",
        log:
            "logs/draw_library.log",
        localrule: True
        conda:
            "../../envs/report.yaml"
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            code=code("draw_library"),
        message:
            "Drawing the library"
        script:
            "../scripts/draw_library.py"


rule library:
    """Stop when the library of the key library can be ordered."""
    input:
        library_files,
