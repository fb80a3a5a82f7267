"""What a user sees of each mistake: one message with a remedy, before anything expensive, and no traceback."""

import pytest

RUN_NOTHING = "Nothing has been run."


def refused(workflow, *arguments):
    done = workflow.run(*arguments, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    return done.stdout


def test_an_unknown_key_stops_the_parse(fresh):
    fresh.edit(models__small__lerning_rate=1)
    text = refused(fresh, "--dry-run")
    assert "models.small.lerning_rate is not a known key. Did you mean learning_rate?" in text
    assert RUN_NOTHING in text


def test_a_missing_track_file_stops_the_parse(fresh):
    fresh.replace("config/tracks.tsv", "resources/simulation/tracks/hepatic.bed", "peaks/hepatic.bed")
    text = refused(fresh, "--dry-run")
    assert "track hepatic: the file peaks/hepatic.bed does not exist" in text


def test_a_held_out_chromosome_that_is_not_used(fresh):
    fresh.edit(split__test=["chr9"])
    assert "split.test names chr9, which genome.chroms does not" in refused(fresh, "--dry-run")


def test_no_config_in_the_folder(fresh):
    (fresh.folder / "config/config.yaml").unlink()
    text = refused(fresh, "--dry-run")
    assert "config/config.yaml" in text
    assert "--configfile" in text


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (
            {"genome__chroms": ["chr1-4"]},
            ["genome.chroms names chr4, which the genome does not have", "Did you mean chr"],
        ),
        ({"windows__width": 50000}, ["Chromosome chr1 has 40000 bp, less than windows.width = 50000"]),
        ({"simulate__grammar__hepatic__sites": [{"motif": "MA9999.1"}]}, ["MA9999.1", "JASPAR2026 does not have"]),
    ],
)
def test_what_only_the_data_tell_stops_before_extraction(simulated, changes, parts):
    simulated.edit(**changes)
    text = refused(simulated, "windows")
    for part in parts:
        assert part in text
    assert not (simulated.folder / "results/splits").exists()


def test_a_track_without_peaks_and_a_chromosome_without_tracks(simulated):
    (simulated.folder / "peaks").mkdir()
    (simulated.folder / "peaks/empty.bed").write_text("")
    (simulated.folder / "peaks/one.bed").write_text("chr1\t1000\t1200\n")
    (simulated.folder / "config/tracks.tsv").write_text("name\tlabel\tsource\nempty\ta\tpeaks/empty.bed\n")
    assert "Track empty" in refused(simulated, "windows")
    (simulated.folder / "config/tracks.tsv").write_text("name\tlabel\tsource\none\ta\tpeaks/one.bed\n")
    assert "No track has a peak on chromosome chr2" in refused(simulated, "windows")


def test_an_empty_split_and_a_label_without_training_windows(simulated):
    (simulated.folder / "peaks").mkdir()
    rows = {"a": ("chr1", "chr2", "chr3"), "b": ("chr2", "chr3")}
    for name, chroms in rows.items():
        lines = [f"{chrom}\t{start}\t{start + 200}\n" for chrom in chroms for start in range(12000, 20000, 1000)]
        (simulated.folder / f"peaks/{name}.bed").write_text("".join(lines))
    (simulated.folder / "config/tracks.tsv").write_text(
        "name\tlabel\tsource\n" + "".join(f"{name}\t{name}\tpeaks/{name}.bed\n" for name in rows)
    )
    text = refused(simulated, "windows")
    assert "label b" in text
    assert "training" in text


def test_a_wrong_checksum(simulated):
    (simulated.folder / "peaks").mkdir()
    (simulated.folder / "peaks/a.bed").write_text("chr1\t1000\t1200\n")
    (simulated.folder / "config/tracks.tsv").write_text(
        "name\tlabel\tsource\tchecksum\na\ta\tpeaks/a.bed\tmd5:" + 32 * "0" + "\n"
    )
    text = refused(simulated, "windows")
    assert 32 * "0" in text
    assert not (simulated.folder / "resources/tracks/a").exists()
