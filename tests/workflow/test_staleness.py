"""Edit X in a finished run: exactly these rules run again, and nothing else. docs/staleness.md shows the table."""

import os
import shutil
import time

import pytest
from conftest import QUESTIONS

from diffusion_bert.tables import read_fasta

RUNS = 2
# Run times are collected again whenever the report is written.
PAGE = {"write_report": 1, "collect_run_times": 1}
END = {"compare_runs": 1, "draw_comparison": 1, "write_multiqc": 1, **PAGE}
ORACLE = {"train_oracle": 1, "evaluate_oracle": 1}
JUDGED = ["apply_oracle", "discriminate_sets", "evaluate_function", "evaluate_discrimination", "draw_run"]


def judged(runs: int) -> dict[str, int]:
    """What follows when so many runs have new sequences."""
    rules = [
        "match_sets",
        "score_sequences",
        "score_sets_lstm",
        "apply_oracle",
        "discriminate_sets",
        "draw_run",
        *(f"evaluate_{question}" for question in QUESTIONS),
    ]
    return {**dict.fromkeys(rules, runs), **END}


def generated(runs: int) -> dict[str, int]:
    return {"generate_sequences": runs, **judged(runs)}


def trained(models: int, runs: int) -> dict[str, int]:
    probed = {"embed_windows": models, "probe_labels": models}
    return {"train_model": models, "draw_training_curve": 1, **probed, **generated(runs)}


LSTM = {"train_lstm": 1, "generate_lstm": 1}
SPLIT = {"split_windows": 1, "make_floors": 1, **trained(2, RUNS), "embed_windows": 4, **ORACLE, **LSTM}
# Discovery has intervals of its own.
BOOTSTRAPPED = {
    **{f"evaluate_{q}": RUNS for q in QUESTIONS if q != "discovery"},
    "evaluate_oracle": 1,
    "probe_labels": 2,
    "draw_run": RUNS,
    **END,
}
EXTRACTED = {"check_inputs": 1, "extract_windows": 3, **SPLIT}


# Changes of config values, and the jobs that follow besides the page.
EDITS = [
    ({"samplers__refined__temperature": 0.9}, generated(1)),
    # No run has the sampler, no model is of tiles.
    ({"samplers__third": {"steps": 4}, "tiles__width": 50}, {}),
    ({"models__transformer__learning_rate": 0.001}, trained(1, 1)),
    (
        {"models__transformer": {"backbone": "owner/name", "revision": "v1", "steps": 10, "batch_size": 16}},
        {"download_backbone": 1, **trained(1, 1), "embed_windows": 2},
    ),
    ({"generate__number": 30}, generated(RUNS)),
    ({"generate__filters": {"max_homopolymer": 5}}, generated(RUNS)),
    ({"generate__shards": 2}, {"generate_shard": 2 * RUNS, **generated(RUNS)}),
    ({"evaluation__bootstrap": 120}, BOOTSTRAPPED),
    ({"evaluation__probe_windows": 30}, {"embed_windows": 4, "probe_labels": 2, **PAGE}),
    (
        {"evaluation__motifs": {"taxon": "insects"}},
        {"evaluate_motifs": RUNS, "evaluate_discovery": RUNS, "draw_run": RUNS, **END},
    ),
    ({"evaluation__discovery": 3}, {"evaluate_discovery": RUNS, "draw_run": RUNS, **END}),
    (
        {"evaluation__oracle": {"epochs": 3}},
        {**ORACLE, **dict.fromkeys(JUDGED, RUNS), **END},
    ),
    ({"evaluation__lstm": {"epochs": 1, "parameters": 4000}}, {**LSTM, **judged(RUNS)}),
    (
        {"evaluation__lstm": None},
        {rule: number for rule, number in judged(RUNS).items() if rule != "score_sets_lstm"},
    ),
    ({"evaluation__markov_orders": [0, 1]}, {"make_floors": 1, "draw_training_curve": 1, **judged(RUNS)}),
    ({"report__title": "Another"}, PAGE),
    ({"split__max_per_track": 50}, SPLIT),
    ({"windows__max_lower_case": 0.4}, {key: n for key, n in EXTRACTED.items() if key != "check_inputs"}),
    ({"windows__width": 90}, EXTRACTED),
]


@pytest.mark.parametrize(("changes", "jobs"), EDITS, ids=["+".join(changes) for changes, _ in EDITS])
def test_an_edited_config_value(edited, changes, jobs):
    edited.edit(**changes)
    # The report shows the whole config, so it is written again whatever changes.
    assert edited.stale() == {**jobs, **PAGE}


def test_a_sampler_that_is_used_is_generated_evaluated_and_compared(edited):
    runs = {"small": ["refined", "third"], "transformer": ["ancestral", "third"]}
    edited.edit(samplers__third={"steps": 4}, generate__runs=runs)
    assert edited.stale() == {**generated(2), **END}


def test_an_edited_sampler_is_really_run_again_and_nothing_else(edited):
    """As far as a file is asked for; what follows from it waits."""
    results = edited.folder / "results"
    made = results / "sequences/small/refined/sequences.fasta"
    sequences = read_fasta(made)["sequence"].tolist()
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*") if path.is_file()}
    edited.edit(samplers__refined__temperature=0.9)
    edited.run("results/evaluation/small/refined/composition.tsv")
    changed = {
        path.relative_to(results)
        for path in results.rglob("*")
        if path.is_file() and before.get(path) != path.stat().st_mtime_ns
    }
    changed = {str(path) for path in changed if path.parts[0] != "benchmarks"}
    assert all("small/refined" in name for name in changed), changed
    assert {"sequences/small/refined/sequences.fasta", "evaluation/small/refined/composition.tsv"} <= changed
    assert read_fasta(made)["sequence"].tolist() != sequences
    again = ("match_sets", "evaluate_composition")
    assert edited.stale() == {rule: number for rule, number in judged(1).items() if rule not in again}


# Modules with a line to edit after, and the jobs that follow.
CODE = [
    ("sampling/draw.py", "import torch\n", generated(RUNS)),
    (
        "evaluation/novelty.py",
        "import pandas as pd\n",
        # Discrimination keeps copies together, which novelty finds.
        {"evaluate_novelty": RUNS, "evaluate_discrimination": RUNS, "draw_run": RUNS, **END},
    ),
    ("figures/training.py", "import pandas as pd\n", {"draw_training_curve": 1, **PAGE}),
]


@pytest.mark.parametrize(("path", "line", "jobs"), CODE, ids=[path for path, _, _ in CODE])
def test_edited_code(edited, path, line, jobs):
    edited.replace(f"workflow/diffusion_bert/{path}", line, f"{line}\nAN_EDIT = 1\n")
    assert edited.stale() == jobs


def test_comments_and_docstrings_are_not_code(edited):
    for path in ("sampling/draw.py", "training/train.py", "genome/windows.py", "tables.py"):
        file = edited.folder / "workflow/diffusion_bert" / path
        text = file.read_text()
        assert text.startswith('"""')
        file.write_text('"""Mended. ' + text[3:] + "\n# A remark at the end.\n")
    assert edited.stale() == {}


def test_touching_files_is_no_edit(edited):
    later = time.time() + 5
    for folder in ("workflow", "config", "resources", "results/windows", "results/models"):
        for path in (edited.folder / folder).rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.utime(path, (later, later))
                later += 0.01
    assert edited.stale() == {}


def test_moving_the_folder_is_no_edit(edited, tmp_path):
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    shutil.move(edited.folder, moved)
    edited.folder = moved
    assert edited.stale() == {}


def test_a_file_of_ones_own_that_changes(windowed):
    """Content counts, not time: a track with another peak is read again, and what follows from it."""
    (windowed.folder / "peaks").mkdir()
    lines = [f"{chrom}\t{start}\t{start + 200}\n" for chrom in ("chr1", "chr2", "chr3") for start in (12000, 15000)]
    for name in ("a", "b"):
        (windowed.folder / f"peaks/{name}.bed").write_text("".join(lines))
    (windowed.folder / "config/tracks.tsv").write_text("name\tlabel\tsource\na\ta\tpeaks/a.bed\nb\tb\tpeaks/b.bed\n")
    windowed.run("windows")
    assert windowed.stale("windows") == {}
    (windowed.folder / "peaks/b.bed").write_text("".join(lines[:-1]))
    assert windowed.stale("windows") == {
        "download_track": 1,
        "check_inputs": 1,
        "extract_windows": 3,
        "split_windows": 1,
    }
