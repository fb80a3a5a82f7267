"""The browser of sequences: which are shown, and which hits are drawn on them."""

import re

import pandas as pd
import pytest

from diffusion_bert.reporting.browser import BED, drawn_hits, marked, read_hits, sequence_rows


def hits(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=BED)


def sequences(names: list[str], labels: list[str], sequence: str = "ACGTACGTACGTACGT") -> pd.DataFrame:
    bits = [1.5, *[None] * (len(names) - 1)]
    return pd.DataFrame(
        {"name": names, "label": labels, "length": len(sequence), "bits_per_base": bits, "sequence": sequence}
    )


def test_of_overlapping_hits_the_best_is_drawn_and_those_that_touch_are_both():
    table = hits(
        ("s", 0, 5, "M1:A", 10, "+"),
        ("s", 4, 9, "M2:B", 900, "-"),
        ("s", 9, 12, "M3:C", 1, "+"),
        ("t", 2, 4, "M1:A", 0, "+"),
    )
    drawn = drawn_hits(table)
    assert [hit.name for hit in drawn["s"]] == ["M2:B", "M3:C"]
    assert [hit.name for hit in drawn["t"]] == ["M1:A"]


def test_marks_say_what_they_are_and_change_no_base():
    (own,) = drawn_hits(hits(("s", 2, 6, 'M1:A<"', 10, "-"), ("s", 8, 10, "M2:B", 10, "+"))).values()
    page = marked("ACGTACGTAC", own, {"M2:B": "m0"})
    assert re.sub(r"<[^>]+>", "", page) == "ACGTACGTAC"
    assert '<mark class="m" title="A&lt;&quot;, - strand, 3-6">GTAC</mark>' in page
    assert page.endswith('<mark class="m0" title="B, + strand, 9-10">AC</mark>')


def test_compared_sequences_come_first_label_by_label_in_turn():
    frame = sequences(["a1", "a2", "a3", "b1", "b2"], ["a", "a", "a", "b", "b"])
    table = hits(*((name, 0, 4, "M1:A", 5, "+") for name in ("a2", "a3", "b2")), ("b2", 6, 9, "M2:B", 5, "+"))
    rows, shown, legend = sequence_rows({("m", "s"): frame}, {("m", "s"): table}, 4)
    assert [row["name"] for row in rows] == ["a2", "b2", "a3", "a1"]
    assert shown == {("m", "s"): 4}
    assert legend == [("m0", "A"), ("m1", "B")]
    assert [row["motifs"] for row in rows] == ["A", "A, B", "A", ""]
    assert [row["bits"] for row in rows] == [None, None, None, 1.5]
    assert rows[0]["gc"] == 0.5


def test_without_hits_sequences_stay_as_they_are():
    rows, _, legend = sequence_rows({("m", "s"): sequences(["a"], ["x"])}, {}, 200)
    assert rows[0]["marked"] == "ACGTACGTACGTACGT"
    assert not legend


@pytest.mark.parametrize("text", ["", "s\t0\t4\tM1:A\t7\t+\n"])
def test_a_bed_file_is_read_even_where_nothing_was_hit(tmp_path, text):
    (tmp_path / "hits.bed").write_text(text)
    assert len(read_hits(tmp_path / "hits.bed")) == bool(text)
