"""A FASTA under a model, as a table."""

import logging

import numpy as np
import pytest
from toy_models import LabelModel, as_denoiser, markov_model

from diffusion_bert import scoring
from diffusion_bert.errors import UserError
from diffusion_bert.scoring import score_fasta
from diffusion_bert.tables import SEQUENCE_SCORES, read_tsv


def run(tmp_path, monkeypatch, text, model, **options):
    (tmp_path / "mine.fa").write_text(text)
    monkeypatch.setattr(scoring, "load_model_folder", lambda folder: as_denoiser(model))
    options = {"label": None, "samples": 8, "seed": 1, **options}
    score_fasta("model", tmp_path / "mine.fa", destination=tmp_path / "out.tsv", **options)
    return read_tsv(tmp_path / "out.tsv", SEQUENCE_SCORES)


def test_columns_labels_case_and_unknown_bases(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    model = LabelModel({"a": [0.7, 0.1, 0.1, 0.1], "b": [0.1, 0.1, 0.1, 0.7]})
    text = ">one of two\nAAAA\nAA\n>two\naaNA\n>three\nNN\n"
    table = run(tmp_path, monkeypatch, text, model, label="a")
    assert list(table["name"]) == ["one", "two", "three"]
    assert list(table["length"]) == [6, 4, 2]
    bits = -np.log2(0.7)
    assert table["bits_per_base"].to_numpy() == pytest.approx([bits, bits, np.nan], nan_ok=True, abs=1e-5)
    assert table["log2_p"].to_numpy() == pytest.approx([-6 * bits, -3 * bits, np.nan], nan_ok=True, abs=1e-4)
    assert "1 of 3 sequences hold lower case" in caplog.text


def test_the_bound_of_a_known_chain(tmp_path, monkeypatch):
    model = markov_model()
    table = run(tmp_path, monkeypatch, ">x\nACGTCA\n", model, samples=600)
    error = 4 * 6 * table["standard_error"].item()
    assert table["log2_p"].item() == pytest.approx(model.log_prob(["ACGTCA"])[0] / np.log(2), abs=error)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no sequence"),
        ("ACGT\n", "begins with a line that starts with '>'"),
        (">x\nAC-T\n", "record x holds '-' at position 3"),
    ],
)
def test_what_is_no_sequence(tmp_path, monkeypatch, text, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path, monkeypatch, text, markov_model())
