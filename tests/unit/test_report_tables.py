"""The tables beside the report: sources with checksums, run times, and the comparison for MultiQC."""

import hashlib

import pandas as pd
import pytest
import yaml

from diffusion_bert.evaluation.metrics import METRICS
from diffusion_bert.genome.sources import list_sources
from diffusion_bert.reporting.multiqc import write_multiqc
from diffusion_bert.reporting.run_times import collect_run_times
from diffusion_bert.tables import RUN_TIMES, SOURCES, read_tsv

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def test_each_source_has_its_size_and_digest(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    list_sources([("genome", "https://example.org/a.fa", tmp_path / "a")], tmp_path / "sources.tsv")
    row = read_tsv(tmp_path / "sources.tsv", SOURCES).iloc[0]
    assert (row["name"], row["source"], row["bytes"]) == ("genome", "https://example.org/a.fa", 300_000)
    assert row["sha256"] == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_run_times_come_from_all_rules_longest_first(tmp_path):
    (tmp_path / "b/train/x").mkdir(parents=True)
    (tmp_path / "b/floors.tsv").write_text(HEADER + "1.5\t0:00:01\t10.0\t1\t1\t1\t0\t0\t0\t1.2\n")
    (tmp_path / "b/train/x/y.tsv").write_text(
        HEADER + "9\t0:00:09\t1\t1\t1\t1\t0\t0\t0\t9\n" + "20\t0:00:20\t-\t-\t-\t-\t-\t-\t-\tNA\n"
    )
    collect_run_times(tmp_path / "b", tmp_path / "times.tsv")
    table = read_tsv(tmp_path / "times.tsv", RUN_TIMES)
    assert table[["rule", "seconds"]].values.tolist() == [["train", 20.0], ["floors", 1.5]]
    assert table["of"].fillna("none").tolist() == ["x/y", "none"]
    assert table["cpu_seconds"].isna().tolist() == [True, False]
    assert table["peak_memory_mb"].tolist()[1] == 10.0


def test_multiqc_gets_a_row_a_run_and_settings_it_can_parse(tmp_path):
    rows = [
        ("m", "s", "gc_mean", "all", "generated", 0.5),
        ("m", "s", "gc_mean", "all", "ceiling", 0.4),
        ("m", "s", "gc_mean", "K562", "generated", 0.3),
        ("m", "t", "gc_mean", "all", "generated", 0.6),
        ("m", "t", "unique", "all", "generated", 1.0),
        ("m", "s", "unique", "all", "generated", None),
        ("m", "s", "kmer_js_divergence_2", "all", "generated", 0.1),
    ]
    frame = pd.DataFrame(rows, columns=["model", "sampler", "metric", "label", "set", "value"])
    write_multiqc(frame, tmp_path / "x_mqc.tsv")
    text = (tmp_path / "x_mqc.tsv").read_text()
    settings = yaml.safe_load("\n".join(line[2:] for line in text.splitlines() if line.startswith("# ")))
    assert settings["plot_type"] == "table"
    assert list(settings["headers"]) == ["gc_mean", "unique"]
    assert settings["headers"]["gc_mean"]["title"] == METRICS["gc_mean"].title
    table = pd.read_csv(tmp_path / "x_mqc.tsv", sep="\t", comment="#", index_col="Sample")
    assert table["gc_mean"].to_dict() == pytest.approx({"m / s": 0.5, "m / t": 0.6})
    assert pd.isna(table.loc["m / s", "unique"])
