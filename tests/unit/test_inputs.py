"""The check of tracks against the genome: every misfit in one message, or the table of peaks."""

import pytest

from diffusion_bert.errors import UserError
from diffusion_bert.genome.inputs import PEAK_COUNTS, check_inputs
from diffusion_bert.tables import read_tsv


def run(tmp_path, *, bed="chr1\t10\t20\nchr2\t1\t9\n", chroms=("chr1", "chr2"), width=50, aliases=None):
    index = tmp_path / "genome.fa.fai"
    index.write_text("chr1\t100\t6\t100\t101\nchr2\t60\t113\t100\t101\n")
    track = tmp_path / "track"
    track.write_text(bed)
    if aliases is not None:
        (tmp_path / "aliases.tsv").write_text(aliases)
    check_inputs(
        index,
        tracks=[(("t", "l", "bed"), track)],
        aliases=tmp_path / "aliases.tsv" if aliases is not None else None,
        chroms=list(chroms),
        width=width,
        destination=tmp_path / "peaks.tsv",
    )
    return read_tsv(tmp_path / "peaks.tsv", PEAK_COUNTS)


def test_peaks_are_counted_by_the_genomes_names(tmp_path):
    assert run(tmp_path)["peaks"].tolist() == [1, 1]
    # Whichever column of the alias table holds the genome's names.
    for table in ("chr1\t1\nchr2\t2\n", "1\tchr1\n2\tchr2\n"):
        assert run(tmp_path, bed="1\t10\t20\n1\t30\t40\n2\t1\t9\n", aliases=table)["peaks"].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"bed": "# nothing\n"}, "Track t has no peaks"),
        ({"bed": "1\t1\t9\n"}, "has no peak on the chromosomes used .*its own are 1. .*genome.aliases"),
        ({"chroms": ["chr1", "chr22"]}, "names chr22, which the genome does not have .*Did you mean chr2"),
        ({"width": 80}, "Chromosome chr2 has 60 bp, less than windows.width = 80"),
        ({"bed": "chr1\t1\t9\n"}, "No track has a peak on chromosome chr2"),
    ],
)
def test_each_misfit_has_its_message(tmp_path, given, part):
    with pytest.raises(UserError, match=part):
        run(tmp_path, **given)
    assert not (tmp_path / "peaks.tsv").exists()
