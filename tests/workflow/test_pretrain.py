"""Pretraining on tiles of the genome and fine-tuning on windows: two entries of the config."""

import json
import re

import pandas as pd

LEARNED = {"steps": 80, "warmup_steps": 5, "learning_rate": 0.01, "batch_size": 16}  # more than a guess


def two_entries(workflow):
    small = {**workflow.config["models"]["small"], **LEARNED, "data": "tiles"}
    tuned = {"start_from": "small", "steps": 5, "batch_size": 16}
    runs = {"transformer": ["ancestral", "refined"]}
    workflow.edit(models__small=small, models__transformer=tuned, generate__runs=runs, tiles={"stride": 200})


def inputs(text, model):
    """What the job that trains a model takes, as Snakemake's detailed summary tells it."""
    row = re.search(rf"^results/models/{model}/training.tsv\t.*$", text, flags=re.MULTILINE)[0]
    return next(field for field in row.split("\t") if field.startswith("results/") and "," in field).split(",")


def test_the_plan_of_two_entries(fresh):
    two_entries(fresh)
    jobs = fresh.stale()
    assert jobs["tile_genome"] == 1
    assert jobs["train_model"] == 2
    assert jobs["generate_sequences"] == 2  # by the tuned one alone, with two samplers
    assert jobs["embed_windows"] == 2
    text = fresh.run("models", "--detailed-summary").stdout
    assert inputs(text, "small") == ["results/tiles/train.parquet", "results/tiles/validation.parquet"]
    tuned = inputs(text, "transformer")
    assert tuned[:2] == ["results/splits/train.parquet", "results/splits/validation.parquet"]
    assert "results/models/small/diffusion.json" in tuned
    fresh.edit(models__small__data="windows")
    assert "tile_genome" not in fresh.stale()


def test_two_entries_trained(fresh):
    two_entries(fresh)
    fresh.run("models", "--quiet", "host")
    tiles = {part: pd.read_parquet(fresh.folder / f"results/tiles/{part}.parquet") for part in ("train", "validation")}
    assert {part: set(table["chrom"]) for part, table in tiles.items()} == {"train": {"chr1"}, "validation": {"chr2"}}
    read = lambda model: json.loads((fresh.folder / f"results/models/{model}/diffusion.json").read_text())  # noqa: E731
    assert (read("small")["labels"], read("small")["windows"]) == ([], len(tiles["train"]))
    assert read("transformer")["labels"] == ["erythroid", "hepatic"]
    assert fresh.stale("models") == {}
    fresh.edit(tiles__stride=100)
    assert fresh.stale("models") == {"tile_genome": 1, "train_model": 2}
