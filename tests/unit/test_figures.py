"""Figures: every one is drawn from its tables, says what it shows, and has stable bytes."""

import re
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
import report_tables as made

from diffusion_bert.figures.agreement import draw_kmers, draw_motifs
from diffusion_bert.figures.distributions import draw_composition, draw_likelihood, draw_novelty, smooth_density
from diffusion_bert.figures.motif_pairs import draw_motif_pairs
from diffusion_bert.figures.standing import draw_comparison, draw_grammar
from diffusion_bert.figures.training import draw_training_curve


def _verdict() -> pd.DataFrame:
    frame = pd.concat([made.evaluation("composition"), made.evaluation("motifs"), made.evaluation("kmers")])
    return made.verdict({("convnet", "ancestral"): frame})


DRAWN = {
    "training": lambda path: draw_training_curve({"convnet": made.training()}, 1.921, path),
    "composition": lambda path: draw_composition(*made.composition(), path),
    "kmers": lambda path: draw_kmers(made.kmers(), path),
    "motifs": lambda path: draw_motifs(*made.motifs()[:2], path, made.motifs()[2]),
    "motif_pairs": lambda path: draw_motif_pairs(*made.motif_pairs(), path),
    "novelty": lambda path: draw_novelty(made.novelty(), path),
    "likelihood": lambda path: draw_likelihood(made.likelihood(), path),
    "grammar": lambda path: draw_grammar(made.evaluation("grammar"), path),
    "comparison": lambda path: draw_comparison(_verdict(), path),
}
SAID = {
    "training": ["uniform guessing: 2.000", "best Markov chain: 1.921", "training step", "1.909"],
    "composition": ["GM12878", "all labels", "GC along the window", "held-out real"],
    "kmers": ["frequency of a 4-mer, training", "closest floor: Markov chain", "r = 0.9"],
    "motifs": ["SPI1 (MA0080.7)", "share with a hit", "where in the window (bp)"],
    "motif_pairs": ["log2 odds of a pair, training", "CTCF→ SPI1→", "SPI1→ CTCF→", "←CTCF SPI1→", "CTCF→ ←SPI1"],
    "novelty": ["identity (1 = a copy)", "bp (the longest of all: 200)"],
    "likelihood": ["2.0: a uniform guess", "bits a base under the model"],
    "grammar": ["Complete modules", "HepG2", "all labels"],
    "comparison": ["best floor", "Spread of GC", "6-mer Pearson correlation", "convnet / ancestral"],
}


def _texts(path: Path) -> str:
    return "\n".join(node.text or "" for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("name", DRAWN)
def test_each_figure_says_what_it_shows_and_has_the_same_bytes_twice(name, tmp_path):
    before = dict(matplotlib.rcParams)
    DRAWN[name](tmp_path / "one.svg")
    DRAWN[name](tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
    assert dict(matplotlib.rcParams) == before
    said = _texts(tmp_path / "one.svg")
    # One run needs no legend of runs.
    for text in SAID[name][: -1 if name == "comparison" else None]:
        assert text in said
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_text_comes_in_the_readers_own_font_and_no_date_is_written(tmp_path):
    DRAWN["likelihood"](tmp_path / "x.svg")
    svg = (tmp_path / "x.svg").read_text()
    assert "system-ui" in svg
    assert "<dc:date>" not in svg
    pdf = (tmp_path / "x.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert b"CreationDate" not in pdf
    assert b"atplotlib" not in pdf
    assert b"/Subtype /Type0" in pdf or b"/FontFile2" in pdf, "letters, not outlines of them"


def test_several_runs_are_told_apart_by_a_legend(tmp_path):
    frame = made.evaluation("composition")
    draw_comparison(made.verdict({("a", "x"): frame, ("b", "y"): frame}), tmp_path / "x.svg")
    assert {"a / x", "b / y"} <= set(_texts(tmp_path / "x.svg").split("\n"))


def test_comparison_leaves_out_what_cannot_rank_and_what_says_the_same(tmp_path):
    verdict = _verdict()
    draw_comparison(verdict, tmp_path / "x.svg")
    said = _texts(tmp_path / "x.svg")
    blind = set(verdict.loc[verdict["separates"] == "no", "metric"])
    assert "gc_ks" in blind
    assert "GC, Kolmogorov-Smirnov" not in said
    assert "6-mer Jensen-Shannon distance" not in said


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (partial(draw_comparison, _verdict().assign(separates="no")), "No metric separates the floors from the ceil"),
        (partial(draw_training_curve, {}, None), "No model was trained."),
        (partial(draw_grammar, made.evaluation("grammar").assign(value=None)), "no number about the planted grammar"),
        (
            partial(draw_composition, made.composition(3)[0].assign(gc=None), made.composition(3)[1]),
            "No sequence has an",
        ),
        (
            partial(draw_composition, made.composition(3)[0], made.composition(3)[1].iloc[:0]),
            "the sequences differ in le",
        ),
        (partial(draw_likelihood, made.likelihood().assign(bits_per_base=None)), "No likelihood was computed."),
        (
            partial(draw_motif_pairs, made.motif_pairs()[0].assign(compared="no"), made.motif_pairs()[1].iloc[:0]),
            "No two enriched motifs occur together often enough to compare.",
        ),
    ],
)
def test_a_figure_without_anything_to_draw_says_why(draw, sentence, tmp_path):
    draw(tmp_path / "x.svg")
    assert sentence in _texts(tmp_path / "x.svg")


def test_training_curve_does_without_a_markov_chain(tmp_path):
    draw_training_curve({"a": made.training(), "b": made.training(3)}, None, tmp_path / "x.svg")
    said = _texts(tmp_path / "x.svg")
    assert "Markov" not in said
    assert {"a", "b"} <= set(said.split("\n"))


def test_motifs_without_matrices_are_named_and_the_largest_deviation_too(tmp_path):
    rates, positions, _ = made.motifs()
    rates.loc[(rates["set"] == "generated") & (rates["name"] == "GATA1"), "rate"] = 0.001
    draw_motifs(rates, positions, tmp_path / "x.svg")
    said = _texts(tmp_path / "x.svg")
    assert "MA0035.5" in said
    assert re.search(r"^GATA1$", said, re.MULTILINE)


@pytest.mark.parametrize("part", [0, 1])
def test_pairs_are_drawn_with_either_table_alone(part, tmp_path):
    tables = [frame if number == part else frame.iloc[:0] for number, frame in enumerate(made.motif_pairs())]
    draw_motif_pairs(*tables, tmp_path / "x.svg")
    said = _texts(tmp_path / "x.svg")
    assert ("log2 odds of a pair" in said) == (part == 0)
    assert ("CTCF→ SPI1→" in said) == (part == 1)


def test_motifs_without_rows_for_all_labels_and_without_positions(tmp_path):
    rates, positions, _ = made.motifs()
    draw_motifs(rates[rates["label"] != "all"], positions.iloc[:0], tmp_path / "x.svg")
    assert "share of sequences with a hit" in _texts(tmp_path / "x.svg")
    draw_motifs(rates.assign(rate=0.0), positions, tmp_path / "y.svg")
    assert "r = 0.000" in _texts(tmp_path / "y.svg")


def test_kmers_seen_too_seldom_give_way_to_shorter_ones(tmp_path):
    counts = {1: 4, 2: 16, 3: 64}
    frame = pd.concat(
        [
            pd.DataFrame({"set": name, "k": k, "kmer": [f"{k}_{i}" for i in range(n)], "frequency": 1 / n})
            for k, n in counts.items()
            for name in ("generated", "ceiling", "markov", "reference")
        ]
    )
    # One 3-mer was seen once in 1,000: 1,000 / 64 is under 20, and 1,000 / 16 is not.
    frame.loc[(frame["kmer"] == "3_0") & (frame["set"] == "generated"), "frequency"] = 0.001
    draw_kmers(frame, tmp_path / "x.svg")
    assert "frequency of a 2-mer" in _texts(tmp_path / "x.svg")


def test_thousands_of_points_become_one_image(tmp_path):
    draw_kmers(made.kmers(6), tmp_path / "x.svg")
    assert "data:image/png;base64" in (tmp_path / "x.svg").read_text()
    assert (tmp_path / "x.svg").stat().st_size < 200_000


def test_one_label_and_constant_values_can_be_drawn(tmp_path):
    sequences, positions = made.composition(5)
    draw_composition(sequences.assign(label="one", gc=0.5), positions, tmp_path / "x.svg")
    assert "all labels" in _texts(tmp_path / "x.svg")


def test_density_integrates_to_one_and_peaks_at_the_mean():
    grid = np.linspace(-5, 5, 501)
    density = smooth_density(np.random.default_rng(1).normal(0.5, 1, 9000), grid)
    assert density.sum() * (grid[1] - grid[0]) == pytest.approx(1, abs=0.01)
    assert grid[density.argmax()] == pytest.approx(0.5, abs=0.25)
