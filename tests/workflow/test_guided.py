"""A sampler that is guided depends on its scorer, and no other does."""

from conftest import jobs_of


def needed(workflow, sampler, *arguments):
    return workflow.stale(f"results/sequences/small/{sampler}/sequences.fasta", *arguments)


def test_the_guide_is_trained_for_the_sampler_that_asks_for_it_and_the_judge_never(fresh):
    fresh.edit(
        samplers__steered={"steps": 4, "guide": {"method": "smc", "candidates": 2}},
        samplers__mine={"steps": 4, "guide": {"method": "best_of", "scorer": "scores.gc:share"}},
        generate__runs={"small": ["ancestral", "steered", "mine"]},
    )
    assert "train_oracle" not in needed(fresh, "ancestral")
    text = fresh.run("results/sequences/small/steered/sequences.fasta", "--dry-run", "--quiet", "host").stdout
    assert jobs_of(text)["train_oracle"] == 1
    assert "results/oracles/guide/model.safetensors" in text
    assert "oracles/judge" not in text
    assert "train_oracle" not in needed(fresh, "mine")
    fresh.edit(generate__shards=2)
    assert needed(fresh, "steered").items() >= {"generate_shard": 2, "train_oracle": 1}.items()


def test_a_guide_that_is_not_trained_is_told_of(fresh):
    fresh.edit(samplers__ancestral={"guide": {"method": "smc"}}, evaluation__oracle=None)
    done = fresh.run("--dry-run", check=False)
    assert done.returncode != 0
    assert "samplers.ancestral.guide.scorer is oracle, but evaluation.oracle is null" in done.stdout


FUNCTION = "def share(sequences, labels):\n    return [sequence.count('G') for sequence in sequences]\n"


def test_a_scorer_that_changes(trained):
    """A function's file that lies in the working folder, and the guide: sequences are drawn anew, and nothing else."""
    (trained.folder / "scores").mkdir()
    file = trained.folder / "scores/gc.py"
    file.write_text(FUNCTION)
    trained.edit(
        samplers__mine={"steps": 4, "guide": {"method": "best_of", "candidates": 4, "scorer": "scores.gc:share"}},
        samplers__steered={"steps": 4, "guide": {"method": "smc", "candidates": 2}},
        generate__runs={"small": ["mine", "steered"]},
        generate__number=8,
    )
    trained.run("sequences")
    header = (trained.folder / "results/sequences/small/mine/sequences.fasta").read_text().split("\n")[0]
    assert " sampler=mine " in header
    assert not (trained.folder / "results/oracles/judge").exists()
    assert trained.stale("sequences") == {}
    file.write_text(FUNCTION.replace("'G'", "'GC'"))
    assert trained.stale("sequences") == {"generate_sequences": 1}
    file.write_text(FUNCTION)
    trained.edit(evaluation__oracle={"epochs": 1, "width": 6})
    assert trained.stale("sequences") == {"train_oracle": 1, "generate_sequences": 1}
