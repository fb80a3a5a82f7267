"""The target ``scores`` run for real: a FASTA and a VCF of one's own under a trained model."""

import random

import pytest

from diffusion_bert.tables import SEQUENCE_SCORES, VARIANT_SCORES, read_fasta, read_tsv


@pytest.fixture
def scored(edited):
    """The finished run of one small model, and files to score."""
    config = edited.config
    del config["models"]["transformer"], config["generate"]["runs"]["transformer"]
    edited.config = config
    sequence = (
        read_fasta(edited.folder / "resources/genome/genome.fa").set_index("name").loc["chr2", "sequence"].upper()
    )
    (edited.folder / "mine.fa").write_text(f">one\n{sequence[1000:1080]}\n>two\n{sequence[2000:2050].lower()}N\n")
    draw = random.Random(1)
    rows = []
    for pos in (5001, 7001):
        alts = draw.sample([letter for letter in "ACGT" if letter != sequence[pos - 1]], 2)
        rows.append(f"chr2\t{pos}\t.\t{sequence[pos - 1]}\t{','.join(alts)}\t.\t.\t.\n")
    rows.append(f"chr2\t9001\tdel\t{sequence[9000:9004]}\t{sequence[9000]}\t.\t.\t.\n")
    header = "##fileformat=VCFv4.3\n##contig=<ID=chr2>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (edited.folder / "mine.vcf").write_text(header + "".join(rows))
    edited.edit(
        score={
            "samples": 4,
            "fasta": [{"name": "mine", "source": "mine.fa"}],
            "variants": [{"name": "mine", "source": "mine.vcf", "label": "hepatic"}],
        }
    )
    return edited


def test_scores_are_made_once_and_belong_to_a_whole_run(scored):
    plan = scored.stale()
    assert plan["score_fasta"] == plan["score_variants"] == 1
    scored.run("scores")
    folder = scored.folder / "results/scores/small"
    table = read_tsv(folder / "mine.tsv", SEQUENCE_SCORES)
    assert list(table["name"]) == ["one", "two"]
    assert list(table["length"]) == [80, 51]
    assert table["bits_per_base"].between(1, 4).all()
    table = read_tsv(folder / "mine.variants.tsv", VARIANT_SCORES)
    assert list(table["pos"]) == [5001, 5001, 7001, 7001, 9001]
    assert (table["standard_error"] == 0).all()  # the model reads from left to right
    assert table["log2_p_reference"].between(-400, -100).all()
    assert table["log2_p_reference"][0] == pytest.approx(table["log2_p_reference"][1])
    assert "sequences hold lower case" in (scored.folder / "logs/score_fasta/small/mine.log").read_text()
    assert scored.stale("scores") == {}
    scored.edit(score__samples=6)
    assert scored.stale("scores") == {"score_fasta": 1, "score_variants": 1}
    scored.edit(score__samples=4)
    scored.replace("mine.vcf", "chr2\t9001\tdel\t", "chr2\t9002\tdel\t")
    assert scored.stale("scores") == {"download_scored": 1, "score_variants": 1}
    done = scored.run("scores", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert "but the genome has" in done.stdout
