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


def before(workflow, model):
    """The jobs that a model's training waits for, as the graph of jobs tells them."""
    dot = workflow.run("models", "--dag").stdout
    jobs = dict(re.findall(r'(\d+)\[label = "([^"]*)"', dot))
    names = {number: label.replace("train_model\\nmodel: ", "").partition("\\n")[0] for number, label in jobs.items()}
    return sorted(names[a] for a, b in re.findall(r"(\d+) -> (\d+)", dot) if names[b] == model)


def test_the_plan_of_two_entries(fresh):
    two_entries(fresh)
    jobs = fresh.stale()
    assert jobs["tile_genome"] == 1
    assert jobs["train_model"] == 2
    assert jobs["generate_sequences"] == 2  # by the tuned one alone, with two samplers
    assert jobs["embed_windows"] == 2
    assert before(fresh, "small") == ["tile_genome"]
    assert before(fresh, "transformer") == ["small", "split_windows"]
    fresh.edit(models__small__data="windows")
    assert "tile_genome" not in fresh.stale()


def test_two_entries_trained_and_what_an_edit_of_each_re_runs(windowed):
    two_entries(windowed)
    windowed.run("models", "--quiet", "host")
    tiles = {
        part: pd.read_parquet(windowed.folder / f"results/tiles/{part}.parquet") for part in ("train", "validation")
    }
    assert {part: set(table["chrom"]) for part, table in tiles.items()} == {"train": {"chr1"}, "validation": {"chr2"}}
    read = lambda model: json.loads((windowed.folder / f"results/models/{model}/diffusion.json").read_text())  # noqa: E731
    assert (read("small")["labels"], read("small")["windows"]) == ([], len(tiles["train"]))
    assert read("transformer")["labels"] == ["erythroid", "hepatic"]
    assert windowed.stale("models") == {}
    windowed.edit(tiles__stride=100)
    assert windowed.stale("models") == {"tile_genome": 1, "train_model": 2}
    windowed.edit(tiles__stride=200, models__transformer__learning_rate=0.001)
    assert windowed.stale("models") == {"train_model": 1}
    windowed.edit(models__small__learning_rate=0.001)
    assert windowed.stale("models") == {"train_model": 2}
