"""Variants under toys whose answer is arithmetic, and files as users have them."""

import gzip
import logging

import numpy as np
import pysam
import pytest
from toy_models import TokenModel, UniformModel, as_denoiser, markov_model

from diffusion_bert import variants
from diffusion_bert.diffusion import BITS
from diffusion_bert.errors import UserError
from diffusion_bert.tables import VARIANT_SCORES, read_tsv
from diffusion_bert.tokens import KmerTokenizer
from diffusion_bert.variants import Variant, log2_ratios, read_variants, score_variants, windows_of

LETTERS = "".join(np.random.default_rng(5).choice(list("ACGT"), 60))
VCF = "##fileformat=VCFv4.3\n##contig=<ID=chr1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "genome.fa"
    lower = LETTERS[:20] + LETTERS[20:40].lower() + LETTERS[40:]
    path.write_text(f">chr1\n{lower}\n>chrU\n{'ACGTN' * 3}R{'ACGT' * 5}\n")
    pysam.faidx(str(path))
    return path


def row(pos, alt, ref=None, chrom="chr1", name="."):
    return f"{chrom}\t{pos}\t{name}\t{ref or LETTERS[pos - 1]}\t{alt}\t.\t.\t.\n"


def write(tmp_path, *rows, header=VCF, name="v.vcf"):
    path = tmp_path / name
    path.write_text(header + "".join(rows))
    return path


def windows(genome, pos, ref, alt, width):
    with pysam.FastaFile(str(genome)) as fasta:
        return windows_of(Variant("chr1", pos, None, ref, alt, 1), fasta, width, {}, source="v.vcf")


@pytest.mark.parametrize("width", [8, 9])
@pytest.mark.parametrize(("length", "alt"), [(1, "T"), (1, "ACG"), (1, "AC"), (3, "A"), (4, "G"), (2, "ACGTA")])
def test_windows_are_cut_from_the_genome_and_from_the_edited_genome(genome, width, length, alt):
    start = 25
    ref = LETTERS[start : start + length]
    found = windows(genome, start + 1, ref, alt, width)
    for allele, window in ((ref, found.reference), (alt, found.alternative)):
        edited = LETTERS[:start] + allele + LETTERS[start + length :]
        middle = start + len(allele) // 2
        assert window == edited[middle - width // 2 :][:width]
        assert len(window) == width
    # A base of the flanks has one key in both windows: keys name positions of the genome.
    for window, keys, allele in (
        (found.reference, found.reference_keys, ref),
        (found.alternative, found.alternative_keys, alt),
    ):
        assert len(set(keys.tolist())) == width
        own = width // 2 - len(allele) // 2
        left = max(width // 2 - length // 2, width // 2 - len(alt) // 2)
        assert keys[own] == left
        for letter, key in zip(window[:own], keys, strict=False):
            assert letter == LETTERS[start - left + key]
        longest = max(length, len(alt))
        for letter, key in zip(window[own + len(allele) :], keys[own + len(allele) :], strict=True):
            assert letter == LETTERS[start + length + key - left - longest]
        assert keys.max() < found.keys


def test_one_substitution_has_the_same_keys_in_both_windows(genome):
    found = windows(genome, 30, LETTERS[29], OTHER[LETTERS[29]], 10)
    assert (found.reference_keys == found.alternative_keys).all()


@pytest.mark.parametrize("tokenizer", [None, KmerTokenizer(3)])
def test_identical_alleles_differ_by_nothing(tokenizer):
    if tokenizer is None:
        denoiser = as_denoiser(markov_model())
    else:
        denoiser = as_denoiser(TokenModel(tokenizer, np.random.default_rng(0).normal(size=tokenizer.vocab_size)))
    keys = np.arange(10)
    same = variants.Windows("ACGTTGCATG", "ACGTTGCATG", keys, keys, 10)
    scores = log2_ratios(denoiser, [same], None, samples=4, seeds=[3])
    assert scores["difference"].item() == 0
    assert scores["standard_error"].item() == 0
    assert scores["log2_p_reference"].item() == scores["log2_p_alternative"].item() < 0


def test_the_likelihood_ratio_of_a_known_chain_on_both_strands(genome):
    model = markov_model()
    found = [
        windows(genome, 30, LETTERS[29], OTHER[LETTERS[29]], 8),
        windows(genome, 26, LETTERS[25:28], LETTERS[25], 8),
    ]
    scores = log2_ratios(as_denoiser(model), found, None, samples=1500, seeds=[1, 2])
    turn = str.maketrans("ACGT", "TGCA")
    for i, pair in enumerate(found):
        exact = [
            np.mean(model.log_prob([window, window.translate(turn)[::-1]])) * BITS
            for window in (pair.reference, pair.alternative)
        ]
        error = scores["standard_error"][i]
        assert scores["difference"][i] == pytest.approx(exact[1] - exact[0], abs=4 * error)
        assert scores["difference"][i] == pytest.approx(scores["log2_p_alternative"][i] - scores["log2_p_reference"][i])
        assert scores["log2_p_reference"][i] == pytest.approx(exact[0], abs=0.25)
        assert 0 < error < 0.2


def test_common_masks_make_the_error_of_a_difference_smaller(genome, monkeypatch):
    found = [windows(genome, 30, LETTERS[29], OTHER[LETTERS[29]], 8)]
    denoiser = as_denoiser(markov_model())
    common = [log2_ratios(denoiser, found, None, samples=8, seeds=[i])["difference"][0] for i in range(100)]
    draw, calls = variants.draw_masks, iter(range(10**6))
    apart = []
    for _ in range(100):
        values = []
        for side in ("log2_p_reference", "log2_p_alternative"):
            monkeypatch.setattr(variants, "draw_masks", lambda s, w, seed: draw(s, w, 1000 + next(calls)))
            values.append(log2_ratios(denoiser, found, None, samples=8, seeds=[0])[side][0])
        apart.append(values[1] - values[0])
    assert np.std(common) < 0.9 * np.std(apart)


def run(tmp_path, genome, source, model=None, monkeypatch=None, **options):
    monkeypatch.setattr(variants, "load_model_folder", lambda folder: as_denoiser(model or UniformModel()))
    options = {"width": 10, "label": None, "aliases": None, "samples": 4, "seed": 1, **options}
    score_variants("model", source, genome, destination=tmp_path / "out.tsv", **options)
    return read_tsv(tmp_path / "out.tsv", VARIANT_SCORES)


@pytest.mark.parametrize("packed", [False, True])
def test_rows_of_a_vcf(tmp_path, genome, monkeypatch, caplog, packed):
    caplog.set_level(logging.INFO)
    base = LETTERS[19]
    alts = [letter for letter in "ACGT" if letter != base]
    path = write(
        tmp_path,
        row(20, ",".join(alts), name="rs1"),
        row(25, "*"),
        row(26, f"{LETTERS[25]}TT,<DEL>"),
        row(27, f"{LETTERS[26]}[chr1:40["),
        row(28, "."),
        row(2, "ACGTN"),
        row(3, OTHER[LETTERS[2]]),
        row(30, "A" * 11),
        row(31, OTHER[LETTERS[30]].lower()),
    )
    if packed:
        packed = tmp_path / "v.vcf.gz"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path = packed
    table = run(tmp_path, genome, path, monkeypatch=monkeypatch)
    assert list(table["pos"]) == [20, 20, 20, 26, 31]
    assert list(table["alt"]) == [*alts, f"{LETTERS[25]}TT", OTHER[LETTERS[30]]]
    assert list(table["id"])[:3] == ["rs1"] * 3
    assert table["id"][3:].isna().all()
    assert table["log2_p_reference"].to_numpy() == pytest.approx(np.full(5, -20.0))
    assert table["difference"].to_numpy() == pytest.approx(np.zeros(5))
    for why in ("covers it", "symbolic", "a breakend", "no alternative", "unknown bases", "over an end", "longer than"):
        assert why in caplog.text
    assert caplog.text.count("1 alternative alleles left out") == 7
    assert "5 alternative alleles to score" in caplog.text


def test_a_table_says_the_same_as_a_vcf_in_any_order(tmp_path, genome, monkeypatch):
    rows = [(20, OTHER[LETTERS[19]]), (33, OTHER[LETTERS[32]])]
    vcf = run(tmp_path, genome, write(tmp_path, *(row(*r) for r in rows)), markov_model(), monkeypatch)
    lines = [f"chr1\t{pos}\t{LETTERS[pos - 1]}\t{alt}\n" for pos, alt in reversed(rows)]
    path = write(tmp_path, *lines, header="#chrom\tpos\tref\talt\n", name="v.tsv")
    table = run(tmp_path, genome, path, markov_model(), monkeypatch)
    for column in ("pos", "difference", "standard_error", "log2_p_reference"):
        assert table[column].to_numpy()[::-1] == pytest.approx(vcf[column].to_numpy())


def test_chromosome_names_through_aliases(tmp_path, genome, monkeypatch):
    (tmp_path / "alias.tsv").write_text("chr1\t1\n")
    path = write(tmp_path, row(20, OTHER[LETTERS[19]], chrom="1"), header=VCF.replace("=chr1>", "=1>"))
    table = run(tmp_path, genome, path, monkeypatch=monkeypatch, aliases=tmp_path / "alias.tsv")
    assert list(table["chrom"]) == ["1"]


WRONG = OTHER[LETTERS[19]]


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (
            [row(21, "A,T"), row(20, "A", ref=WRONG)],
            ["line 5", f"is {WRONG}, but the genome has {LETTERS[19]}", "build"],
        ),
        ([row(20, "A", chrom="1")], ["line 4", "no chromosome 1", "Did you mean chr1?", "aliases"]),
        ([row(99, "A", ref="C")], ["line 4", "it ends at 60"]),
        ([row(20, "*")], ["holds no variant that can be scored"]),
        ([row(20, "A"), "chr1\tx\n"], ["line 5", "no VCF"]),
    ],
)
def test_what_a_vcf_cannot_say(tmp_path, genome, monkeypatch, rows, parts):
    with pytest.raises(UserError) as caught:
        run(tmp_path, genome, write(tmp_path, *rows), monkeypatch=monkeypatch)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["is empty"]),
        ("chrom\tpos\tref\n", ["line 1", "column alt is missing"]),
        ("chrom\tpos\tref\talt\nchr1\t5\tA\tC\nchr1\t0\tA\tC\n", ["line 3", "'0'"]),
        ("chrom\tpos\tref\talt\nchr1\t5\t-\tC\n", ["line 2", "'-'", "the base before"]),
        ("chrom\tpos\tref\talt\nchr1\t5\tA\tQ\n", ["line 2", "'Q'"]),
    ],
)
def test_what_a_table_cannot_say(tmp_path, text, parts):
    (tmp_path / "v.tsv").write_text(text)
    with pytest.raises(UserError) as caught:
        list(read_variants(tmp_path / "v.tsv"))
    for part in parts:
        assert part in str(caught.value)


def test_an_ambiguous_letter_of_the_genome_is_its_first_base_in_a_vcf(genome):
    with pysam.FastaFile(str(genome)) as fasta:
        found = windows_of(Variant("chrU", 16, None, "A", "C", 1), fasta, 8, {}, source="v.vcf")
        assert found == "an allele with unknown bases"
        with pytest.raises(UserError, match="is G, but the genome has R"):
            windows_of(Variant("chrU", 16, None, "G", "C", 1), fasta, 8, {}, source="v.vcf")
