"""The whole DAG on a tiny input: its files, its numbers, and what a second run does."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
from conftest import QUESTIONS, digests, jobs_of

from diffusion_bert.evaluation.motif_library import load_motifs
from diffusion_bert.tables import EVALUATION, SEQUENCES, SPLIT_SUMMARY, WINDOWS, read_fasta, read_parquet, read_tsv

RUNS = [("small", "refined"), ("transformer", "ancestral")]


def test_every_job_ran(finished):
    logs = {path.parent.name if path.parent.name != "logs" else path.stem for path in finished.folder.glob("logs/*")}
    assert {"simulate_data", "make_floors", "train_lstm", "generate_lstm", "score_sets_lstm", "write_report"} <= logs
    benchmarks = {path.name.removesuffix(".tsv") for path in (finished.folder / "results/benchmarks").iterdir()}
    assert {"train_model", "generate_sequences", "extract_windows", "evaluate_motifs"} <= benchmarks


def test_windows_are_counted_from_end_to_end(finished):
    results = finished.folder / "results"
    summary = read_tsv(results / "splits/summary.tsv", SPLIT_SUMMARY).set_index("label")
    assert summary.loc["erythroid"].to_dict() == {"train": 20, "validation": 20, "test": 20}
    train = read_parquet(results / "splits/train.parquet", WINDOWS)
    assert set(train["chrom"]) == {"chr1"}
    assert set(train["sequence"].str.len()) == {100}
    assert train["sequence"].str.fullmatch("[ACGT]+").all()
    funnel = pd.read_csv(results / "splits/funnel.tsv", sep="\t")
    assert funnel.loc[funnel["stage"] == "peaks", "kept"].sum() == 120


def test_sequences_are_as_asked(finished):
    for model, sampler in RUNS:
        folder = finished.folder / "results/sequences" / model / sampler
        table = read_parquet(folder / "sequences.parquet", SEQUENCES)
        assert table["label"].value_counts().to_dict() == {"erythroid": 20, "hepatic": 20}
        assert set(table["length"]) == {100}
        assert table["sequence"].str.fullmatch("[ACGT]{100}").all()
        assert table["bits_per_base"].between(0.5, 4).all()
        assert 1 < table["bits_per_base"].mean() < 2.2  # between what the planted sequences have and chance
        assert list(read_fasta(folder / "sequences.fasta")["sequence"]) == list(table["sequence"])


def test_every_question_is_answered_for_every_set(finished):
    for model, sampler in RUNS:
        for question in QUESTIONS:
            table = read_tsv(finished.folder / f"results/evaluation/{model}/{sampler}/{question}.tsv", EVALUATION)
            assert {"generated", "ceiling", "dinucleotide_shuffle", "markov", "uniform", "lstm"} <= set(table["set"]), (
                question
            )
            silent = table["value"].isna() & table["note"].isna()
            assert not silent.any(), table[silent]
            assert (finished.folder / f"results/evaluation/{model}/{sampler}/{question}.svg").stat().st_size > 500


def test_motifs_and_their_hits_are_files_that_other_programs_read(finished):
    for model, sampler in RUNS:
        folder = finished.folder / "results/evaluation" / model / sampler
        sets = pd.read_parquet(folder / "sets.parquet").query("set == 'generated'").set_index("name")["sequence"]
        library = {one.matrix_id: one for one in load_motifs(str(folder / "motifs.meme"))}
        for line in (folder / "motifs_hits.bed").read_text().splitlines():
            name, start, end, motif, score, strand = line.split("\t")
            assert 0 <= int(start) < int(end) <= len(sets[name])
            assert int(end) - int(start) == library[motif.split(":")[0]].width
            assert 0 <= int(score) <= 1000
            assert strand in "+-"
        assert (folder / "motif_pairs.svg").stat().st_size > 1000


def test_held_out_windows_hold_the_planted_grammar_and_floors_do_not(finished):
    table = read_tsv(finished.folder / "results/evaluation/small/refined/grammar.tsv", EVALUATION)
    rate = table[(table["metric"] == "grammar_recovery") & (table["label"] == "all")].set_index("set")["value"]
    assert rate["ceiling"] > 0.5
    assert rate["uniform"] < 0.2


def test_the_model_folder_says_what_it_is(finished):
    settings = json.loads((finished.folder / "results/models/small/diffusion.json").read_text())
    assert settings["labels"] == ["erythroid", "hepatic"]
    assert settings["settings"]["steps"] == 20


def test_the_report_is_one_file_without_network(finished):
    page = (finished.folder / "results/report/index.html").read_text()
    assert len(page) < 10_000_000
    assert "<script src" not in page
    assert not re.search(r"<link[^>]+href=\"(?!data:)", page)
    for model, sampler in RUNS:
        assert model in page
        assert sampler in page


def test_a_second_run_does_nothing(finished):
    assert "Nothing to be done" in finished.run().stdout


def test_both_entries_are_the_same_workflow(finished):
    assert finished.stale("--snakefile", "workflow/Snakefile") == {}


def test_named_targets_stop_at_their_stage(fresh):
    jobs = {target: fresh.stale(target) for target in ("windows", "models", "sequences", "evaluation", "report")}
    assert "train_model" not in jobs["windows"]
    assert jobs["windows"]["extract_windows"] == 3
    assert jobs["models"]["train_model"] == 2
    assert "generate_sequences" not in jobs["models"]
    assert jobs["sequences"]["generate_sequences"] == 2
    assert "match_sets" not in jobs["sequences"]
    assert jobs["evaluation"]["compare_runs"] == 1
    assert "write_report" not in jobs["evaluation"]
    assert jobs["report"]["write_report"] == 1


def test_a_users_config_is_never_mixed_with_the_embedded_one(fresh, tmp_path):
    config = fresh.config
    config["models"] = {"mine": {"steps": 5}}
    config["generate"] = {"number": 10}
    shutil.move(fresh.folder / "config/config.yaml", tmp_path / "mine.yaml")
    (fresh.folder / "config/config.yaml").write_text((Path(__file__).parents[2] / "config/config.yaml").read_text())
    import yaml

    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    plan = fresh.run("--dry-run", "--configfile", str(tmp_path / "mine.yaml")).stdout
    assert "Training model mine" in plan
    assert "Training model convnet" not in plan
    assert "Generating with model mine, sampler refined" in plan


def test_work_in_a_folder_of_ones_own(fresh, tmp_path):
    mine = tmp_path / "mywork"
    shutil.copytree(fresh.folder / "config", mine / "config")
    snakefile = str(fresh.folder / "Snakefile")
    fresh.run("--snakefile", snakefile, "--directory", str(mine), "results/windows/chr1.parquet")
    assert (mine / "results/windows/chr1.parquet").is_file()
    assert not (fresh.folder / "results").exists()


def test_what_sums_up_all_runs_has_the_same_bytes_again(finished, edited):
    """Of all else, test_conda.py says it, on another number of cores."""
    rules = ["compare_runs", "draw_training_curve", "draw_comparison", "write_report", "write_multiqc"]
    again = edited.run("--cores", "1", "--forcerun", *rules).stdout
    assert jobs_of(again).keys() == {"all", "collect_run_times", *rules}
    assert digests(edited.folder) == digests(finished.folder)


def test_aliases_and_a_blacklist(simulated):
    """Tracks with chromosome names of their own, and a region left out, by the config's keys."""
    (simulated.folder / "mine").mkdir()
    lines = [f"{number}\t{start}\t{start + 200}\n" for number in "123" for start in range(12000, 20000, 1000)]
    (simulated.folder / "mine/a.bed").write_text("".join(lines))
    (simulated.folder / "mine/alias.tsv").write_text("".join(f"chr{number}\t{number}\n" for number in "123"))
    (simulated.folder / "mine/out.bed").write_text("chr1\t0\t14500\n")
    (simulated.folder / "config/tracks.tsv").write_text("name\tlabel\tsource\na\ta\tmine/a.bed\n")
    simulated.edit(genome__aliases="mine/alias.tsv", genome__blacklist="mine/out.bed", windows__max_n=1.0)
    simulated.run("windows")
    funnel = pd.read_csv(simulated.folder / "results/splits/funnel.tsv", sep="\t").set_index(["chrom", "stage"])
    assert funnel.loc[("chr1", "peaks"), "kept"].item() == 8
    assert funnel.loc[("chr1", "blacklist"), "dropped"].item() == 3
    assert funnel.loc[("chr2", "blacklist"), "dropped"].item() == 0


def test_labelled_sequences_from_a_table(fresh):
    """In place of tracks and a genome, split by a seeded fraction, up to the splits."""
    import random

    draw = random.Random(1)
    rows = [("".join(draw.choices("ACGT", k=60)), label) for label in ("x", "y") for _ in range(50)]
    (fresh.folder / "mine.tsv").write_text("dna\tclass\n" + "".join(f"{s}\t{label}\n" for s, label in rows))
    config = {key: value for key, value in fresh.config.items() if key not in ("simulate", "genome", "tracks")}
    config["sequences"] = {"files": [{"source": "mine.tsv"}], "columns": {"sequence": "dna", "label": "class"}}
    config["split"] = {"by": "fraction"}
    config["windows"] = {"width": 60}
    fresh.config = config
    fresh.run("windows")
    summary = read_tsv(fresh.folder / "results/splits/summary.tsv", SPLIT_SUMMARY).set_index("label")
    assert summary.loc["x"].to_dict() == {"train": 40, "validation": 5, "test": 5}
