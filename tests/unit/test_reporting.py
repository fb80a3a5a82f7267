"""The report: one file without references outside, complete, and a page that works in a browser."""

import os
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import report_tables as made

from diffusion_bert.errors import UserError
from diffusion_bert.reporting import markup, strips
from diffusion_bert.reporting.build import build_report
from diffusion_bert.reporting.inputs import Inputs, read_table
from diffusion_bert.reporting.methods import guided, methods

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REPORT = Path(__file__).parents[2] / "workflow" / "report"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("run")
    paths = made.write_results(folder)
    output = folder / "results/report/index.html"
    build_report(output, inputs=Inputs.from_paths(paths), config=made.CONFIG, title=made.CONFIG["report"]["title"])
    return output, paths


@pytest.fixture(scope="module")
def page(run) -> str:
    return run[0].read_text()


def _text(page: str) -> str:
    """What a reader reads, in one line."""
    return " ".join(unescape(re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)).split())


# ------------------------------------------------------------------------------------------------------ the pieces


def test_captions_become_paragraphs_with_emphasis_code_and_links():
    text = "One *two*\nthree ``a<b``.\n\n`A paper <https://doi.org/x>`_ & more."
    assert markup.caption_html(text) == (
        '<p>One <em>two</em> three <code>a&lt;b</code>.</p><p><a href="https://doi.org/x">A paper</a> &amp; more.</p>'
    )
    assert markup.first_sentence(text) == "One two three a<b."


def test_each_caption_says_what_good_looks_like():
    for path in REPORT.glob("*.rst"):
        assert path.stem == "report" or "*What good looks like:*" in path.read_text(), path


def test_ids_of_inlined_figures_are_their_own(tmp_path):
    path = tmp_path / "x.svg"
    path.write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg width="72pt" height="36pt" viewBox="0 0 72 36" version="1.1"'
        ' xmlns:xlink="x"><metadata>m</metadata><defs><path id="a"/></defs>'
        '<use xlink:href="#a" clip-path="url(#a)"/></svg>'
    )
    out = markup.inline_svg(path, "p1", 'A "b"')
    assert '<path id="p1-a"/>' in out
    assert 'xlink:href="#p1-a" clip-path="url(#p1-a)"' in out
    assert 'aria-label="A &quot;b&quot;"' in out
    assert "max-width:96px" in out
    assert "metadata" not in out
    assert "xml version" not in out


def test_settings_read_like_yaml():
    settings = {"a": None, "b": {"c": True, "d": [1, 2]}, "e": [{"f": "g"}], "h": {}, "i": ""}
    assert markup.settings_text(settings).split("\n") == [
        "a: null", "b:", "  c: true", "  d: [1, 2]", "e:", "  - {f: g}", "h: {}", 'i: ""',
    ]  # fmt: skip


def test_a_strip_places_each_set_and_says_its_numbers():
    rows = pd.DataFrame(
        {"set": ["ceiling", "generated", "uniform"], "value": [1.0, 0.5, 0.0], "ci_low": None, "ci_high": None}
    )
    svg = strips.strip(rows, "GC <distance>")
    assert 'aria-label="GC &lt;distance&gt;: held-out real 1.000, generated 0.5, uniform random 0"' in svg
    assert svg.index('x="50.00%"') > svg.index('x="94.64%"')  # generated is on top
    assert strips.strip(rows.assign(value=None), "x") == ""


def test_a_path_that_has_no_place_in_a_report_is_an_error():
    with pytest.raises(ValueError, match=r"results/windows/chr1\.parquet: not a file that a report is made of"):
        Inputs.from_paths(["results/windows/chr1.parquet"])
    with pytest.raises(ValueError, match=r"a report needs comparison/verdict\.tsv"):
        Inputs.from_paths(["results/splits/summary.tsv"])


def test_an_empty_table_is_one_clear_message(tmp_path):
    (tmp_path / "x.tsv").touch()
    with pytest.raises(UserError, match=r"x\.tsv: the file is empty; a table with a header was expected\. Remove the"):
        read_table(tmp_path / "x.tsv")


GUIDE = {"scorer": "oracle", "candidates": 5, "strength": 1.5, "resamplings": 4}


def test_methods_are_filled_in_for_labelled_sequences_too():
    config = {
        "seed": 7,
        "sequences": {"source": "mine.fa"},
        "windows": {"width": 100},
        "split": {"by": "fraction", "fractions": {"validation": 0.1, "test": 0.2}},
        "models": {
            "m": {"backbone": "bert", "steps": 900, "batch_size": 32, "learning_rate": 0.001, "schedule": "cosine"}
        },
        "samplers": {
            "s": {"order": "left_to_right", "steps": 10, "guidance": 2.0, "top_k": 3, "refine": {"passes": 2}},
            "e": {"order": "entropy_bounded", "entropy_budget": 2.5, "template": "t.fa"},
            "r": {"steps": 9, "remask": {"strategy": "capped", "eta": 0.1}},
            "g": {"steps": 9, "guide": {**GUIDE, "method": "smc"}},
            "f": {"steps": 9, "guide": {**GUIDE, "method": "best_of", "scorer": "mine:f"}},
        },
    }
    said = " ".join(methods(config, None, None, {}))
    for words in (
        "Labelled sequences were read from mine.fa.",
        "label-balanced 10 % was held out for validation and 20 % for testing",
        "m (a small BERT transformer, cosine schedule, at most 900 steps in batches of 32, learning rate 0.001)",
        "derive from the seed 7",
        "s (unmasking from left to right, one base at a time by models that read so, else in 10 steps, temperature 1, "
        "top-p 1, top-k 3, classifier-free guidance 2, "
        "then 2 refinement passes over positions of low confidence)",
        "e (unmasking as many positions of least entropy at once as 2.5 bits allow, temperature 1, top-p 1, within the "
        "IUPAC templates of t.fa)",
        "in 9 steps, temperature 1, top-p 1, masking drawn bases again on the way (ReMDM, capped, eta 0.1))",
        "steered by the score of the guide (sequential Monte Carlo, Singhal et al. 2025, 5 particles, strength 1.5)",
        "the best of 5 candidates by the score of the function mine:f",
        "The guide is a convolutional classifier",
    ):
        assert words in said
    assert "None" not in said
    config["models"] = {
        "k": {"backbone": "recurrent", "epochs": 4, "architecture": {"kmer": 7}},
        "b": {"backbone": "recurrent", "epochs": 4, "architecture": {"kmer": 0}},
    }
    said = " ".join(methods(config, None, None, {}))
    assert "k (LSTM layers that read bases from either end, each with the 7-mer that ends at it, linear" in said
    assert "b (LSTM layers that read bases from either end, linear" in said
    del config["samplers"]["g"]
    assert "The guide is" not in " ".join(methods(config, None, None, {}))


def test_the_verdict_says_which_runs_were_guided_and_what_is_no_evidence_then():
    samplers = {
        "plain": {"guide": {**GUIDE, "method": None}},
        "g": {"guide": {**GUIDE, "method": "smc"}},
        "f": {"guide": {**GUIDE, "method": "best_of", "scorer": "mine:f"}},
    }
    config = {"samplers": samplers}
    runs = [("m", sampler) for sampler in samplers] + [("theirs", "external")]
    oracle, own = guided(config, runs)
    assert oracle.startswith("m / g was guided: its sequences are steered by the score of the guide")
    assert "The judge is another classifier" in oracle
    assert own == "m / f was guided: its sequences are the best of 5 candidates by the score of the function mine:f."
    config["evaluation"] = {"predictors": {"a": {"entry_point": "mine:f"}, "b": {"entry_point": "other:f"}}}
    assert guided(config, runs)[1].endswith("What the predictor a says of them is no evidence: it is what steered.")
    assert guided(config, runs)[0] == oracle


# -------------------------------------------------------------------------------------------------------- the page


class _References(HTMLParser):
    """Every attribute that could make a browser fetch something, and tags that are opened or closed wrongly."""

    void = {"meta", "link", "input", "br", "img", "hr"}

    def __init__(self):
        super().__init__()
        self.found, self.open, self.wrong = [], [], []

    def handle_starttag(self, tag, attrs):
        self.found += [
            (tag, name, value) for name, value in attrs if name in ("src", "href", "xlink:href", "data", "srcset")
        ]
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found += [(tag, name, value) for name, value in attrs if name in ("src", "href", "xlink:href", "data")]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_page_refers_to_nothing_outside_but_plain_links(page):
    parser = _References()
    parser.feed(page)
    for tag, name, value in parser.found:
        assert value.startswith(("#", "data:")) or (tag == "a" and name == "href"), (tag, name, value)
    assert "@import" not in page
    assert not re.search(r"url\(\s*['\"]?(?!#|data:)", page)
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(", page)
    assert parser.wrong == []
    assert parser.open == []


def test_every_id_is_there_once_and_every_inner_link_leads_somewhere(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_the_page_is_small_and_the_same_twice(run, tmp_path):
    output, paths = run
    assert output.stat().st_size < 3_000_000
    first = output.read_bytes()
    build_report(
        output, inputs=Inputs.from_paths(reversed(paths)), config=made.CONFIG, title="Enhancers of three cell types"
    )
    assert len(output.read_bytes()) == len(first)
    build_report(output, inputs=Inputs.from_paths(paths), config=made.CONFIG, title="Enhancers of three cell types")
    assert output.read_bytes() == first


def test_the_page_tells_what_a_newcomer_needs(page):
    said = _text(page)
    for words in (
        "78 % of the generated sequences carry the complete planted module of their label",
        "Sequences of convnet / ancestral are nearer to real sequences than to the floors",
        "All runs, by the same measure: convnet / ancestral 82 %; convnet / confident 52 %",
        "all 3,800 500 530",
        "GM12878_dnase GM12878 2,000 −40 −40 1,840",
        "Dropped nothing: beyond end, blacklist, duplicate.",
        "convnet 1.9090 600 600",
        "3 yes 1.9210 1.9170 0.0020 chosen",
        "(order 3, chosen on the validation windows)",
        "GM12878: CTCF, then SPI1 on the other strand (in 80 %), 5 to 12 bp apart; the whole module on either strand.",
        "weights_sha256: 0f3a",
        "the first 50 of 90",
        "top_p: 0.9",
        "Jensen-Shannon divergence, logarithm to base 2",
        "What good looks like:",
        "not available because fewer than 2 sequences",
    ):
        assert words in said, words
    assert "nan" not in said.lower().split()
    assert "None" not in said.split()
    assert page.count("<h1") == 1
    assert page.count('role="img"') == page.count("aria-label=") - 1  # all pictures, and the contents


def test_sequences_of_every_label_are_shown_with_a_link_to_all_of_them(page):
    table = page[page.index('id="sequences"') :]
    first = re.findall(r"<td>(GM12878|HepG2|K562)</td>", table)[:6]
    assert first == ["GM12878", "HepG2", "K562"] * 2
    assert 'href="../sequences/convnet/ancestral/sequences.fasta"' in page
    assert table.count('class="seq"') == 2 * 50
    assert table.count('title="CTCF, + strand, 21-32"') == 2 * 50
    assert 'title="SPI1' not in table, "HNF4A overlaps it and is the better"


def test_a_question_may_have_two_pictures(page):
    motifs = page[page.index("Does it carry the right motifs") :]
    assert motifs.index("Share of sequences with a hit of each motif") < motifs.index("Pairs of the motifs that are")
    assert 'aria-label="Pairs of the motifs that are enriched in training sequences."' in page


def test_a_run_whose_draws_collapsed_is_pointed_at(page):
    alarms = re.findall(r'<p class="alarm">(.*?)</p>', page)
    assert len(alarms) == 1
    assert "convnet / confident: the drawn sequences may have collapsed, the same ones again and again" in alarms[0]


def test_what_is_absent_is_left_out_with_a_sentence(run, tmp_path):
    _, paths = run
    few = [path for path in paths if "comparison" in path.parts]
    build_report(tmp_path / "x.html", inputs=Inputs.from_paths(few), config={}, title="Bare")
    said = _text((tmp_path / "x.html").read_text())
    for words in (
        "No table of windows was given.",
        "What filters dropped is not shown",
        "There is no training curve: no model was trained here.",
        "No evaluation tables were given for this run.",
        "No tables of sequences were given.",
        "No planted grammar is checked: the data are not simulated.",
    ):
        assert words in said, words


def test_pictures_beyond_the_budget_are_linked(run, tmp_path, monkeypatch):
    _, paths = run
    monkeypatch.setattr("diffusion_bert.reporting.build._PICTURE_BUDGET", 300_000)
    output = run[0].parent / "small.html"
    build_report(output, inputs=Inputs.from_paths(paths), config=made.CONFIG, title="Small")
    page = output.read_text()
    assert "Left out to keep this file small:" in page
    assert 'href="../evaluation/convnet/confident/motifs.svg"' in page
    assert output.stat().st_size < 900_000


def test_names_and_settings_are_escaped(run, tmp_path):
    _, paths = run
    few = [path for path in paths if "comparison" in path.parts]
    build_report(tmp_path / "x.html", inputs=Inputs.from_paths(few), config={"a": "<b>"}, title="<i>x</i> & y")
    page = (tmp_path / "x.html").read_text()
    assert "<title>&lt;i&gt;x&lt;/i&gt; &amp; y</title>" in page
    assert "a: &lt;b&gt;" in page


# --------------------------------------------------------------------------------------------------- in a browser


def _dump(page: Path, hash: str, folder: Path) -> tuple[str, str]:
    """The page's document after its script ran, and what the browser logged."""
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
         "--v=0", "--virtual-time-budget=4000", f"--user-data-dir={folder / 'profile'}", "--dump-dom",
         f"file://{page}#{hash}"],
        capture_output=True, text=True, timeout=120, check=True, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    return done.stdout, done.stderr


def _column(document: str, table: str, number: int, *, shown: bool) -> list[str]:
    body = re.search(rf'<table[^>]*id="{table}".*?<tbody>(.*?)</tbody>', document, re.DOTALL)[1]
    rows = re.findall(r"<tr([^>]*)>(.*?)</tr>", body, re.DOTALL)
    cells = [
        re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)[number]
        for head, row in rows
        if ("hidden" not in head) == shown
    ]
    return [unescape(cell) for cell in cells]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_sorting_filtering_and_choosing_a_run_work_without_an_error(run, tmp_path):
    hash = "sort=sequences:bits:descending&filter=sequences:K562&sort=comparison:metric&run=1"
    document, log = _dump(run[0], hash, tmp_path)
    assert "CONSOLE" not in log, log
    bits = [float(cell) for cell in _column(document, "sequences", 4, shown=True)]
    assert bits == sorted(bits, reverse=True)
    assert _column(document, "sequences", 6, shown=True)[0].startswith("CTCF")
    assert set(_column(document, "sequences", 2, shown=True)) == {"K562"}
    assert set(_column(document, "sequences", 2, shown=False)) == {"GM12878", "HepG2"}
    assert f"{len(bits)} of 100 rows" in document
    names = _column(document, "comparison", 2, shown=True)
    assert len(names) > 50
    assert names[0].startswith("1-mer")  # digits before letters, and in their numerical order
    assert re.search(r'class="run" data-run="0" hidden', document)
    assert not re.search(r'class="run" data-run="1" hidden', document)
    assert 'aria-sort="descending"' in document
