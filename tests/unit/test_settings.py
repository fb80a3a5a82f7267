"""The config and the track sheet: every mistake is one message that names the place and the remedy."""

from pathlib import Path

import pytest
import yaml
from toy_settings import SETTINGS

from diffusion_bert.backbones.load import build_model
from diffusion_bert.errors import UserError
from diffusion_bert.presets import parameters_of
from diffusion_bert.settings import (
    check_labels,
    check_sources,
    check_split,
    format_of,
    is_remote,
    labelled,
    load_config,
    published_backbones,
    read_track_sheet,
    runs,
    scorer_file,
)
from diffusion_bert.tokens import BaseTokenizer

SCHEMAS = Path(__file__).resolve().parents[2] / "workflow" / "schemas"
GOOD = """
genome:
  source: genome.fa
  chroms: [chr1-3]
tracks: tracks.tsv
split: {validation: [chr2], test: [chr3]}
models:
  a: {}
samplers:
  s: {}
"""


def load(tmp_path, text):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return load_config(yaml.safe_load(text), [file], SCHEMAS / "config.schema.json")


def message(tmp_path, text):
    with pytest.raises(UserError) as caught:
        load(tmp_path, text)
    return str(caught.value)


def test_defaults_fill_every_level(tmp_path):
    config = load(tmp_path, GOOD)
    assert config["seed"] == 1
    assert config["windows"]["overlap"] == {"fraction": 0.5, "within_label": "best", "between_labels": "keep"}
    assert config["models"]["a"]["backbone"] == "recurrent"
    assert config["samplers"]["s"]["refine"]["passes"] == 0
    assert "simulate" not in config


def test_the_architectures_defaults_are_those_of_the_backbone(tmp_path):
    config = load(
        tmp_path,
        GOOD.replace("a: {}", "a: {}\n  b: {backbone: bert, architecture: {layers: 2}}\n  c: {backbone: convnet}"),
    )
    assert set(config["models"]["a"]["architecture"]) == {"embedded", "kmer", "width", "layers", "mixed", "expansion"}
    assert "stem_kernel" in config["models"]["c"]["architecture"]
    assert set(config["models"]["b"]["architecture"]) == {"width", "layers", "heads", "expansion"}
    assert config["models"]["b"]["architecture"]["layers"] == 2


def test_learning_rate_and_weight_decay_are_those_of_the_backbone(tmp_path):
    models = {
        "a": {},
        "b": {"start_from": "a"},
        "c": {"backbone": "convnet"},
        "d": {"start_from": "c"},
        "e": {"learning_rate": 0.1, "weight_decay": 0.0},
    }
    config = load(tmp_path, GOOD.replace("models:\n  a: {}\n", yaml.safe_dump({"models": models})))
    rates = {name: model["learning_rate"] for name, model in config["models"].items()}
    assert rates == {"a": 0.005, "b": 0.005, "c": 0.003, "d": 0.003, "e": 0.1}
    decays = {name: model["weight_decay"] for name, model in config["models"].items()}
    assert decays == {"a": 0.1, "b": 0.1, "c": 0.01, "d": 0.01, "e": 0.0}


def test_steps_and_minutes_stand_instead_of_epochs(tmp_path):
    config = load(tmp_path, GOOD.replace("a: {}", "a: {steps: 7}\n  b: {epochs: 3}\n  c: {minutes: 2}"))
    assert (config["models"]["c"]["minutes"], config["models"]["c"]["epochs"]) == (2, None)
    assert (config["models"]["a"]["steps"], config["models"]["a"]["epochs"]) == (7, None)
    assert (config["models"]["b"]["steps"], config["models"]["b"]["epochs"]) == (None, 3)


def test_the_file_of_a_function_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "package").mkdir()
    for name in ("package/__init__.py", "package/module.py", "oracle.py"):
        (tmp_path / name).touch()
    assert scorer_file("package.module:f") == "package/module.py"
    assert scorer_file("package:f") == "package/__init__.py"
    assert scorer_file("elsewhere.module:f") is None
    assert scorer_file("oracle") is None


def test_defaults_are_not_shared_between_entries(tmp_path):
    config = load(tmp_path, GOOD.replace("s: {}", "s: {}\n  t: {}"))
    config["samplers"]["s"]["refine"]["passes"] = 9
    assert config["samplers"]["t"]["refine"]["passes"] == 0


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("a: {}", "a: {lerning_rate: 1}", ["line 8", "models.a.lerning_rate", "Did you mean learning_rate?"]),
        ("a: {}", "a: {architecture: {heads: 2}}", ["models.a.architecture.heads is not a known key", "Known here"]),
        ("a: {}", "a: {steps: 0}", ["line 8", "models.a.steps is 0", "at least 1"]),
        ("a: {}", "a: {steps: many}", ["models.a.steps is 'many'", "integer or null"]),
        ("s: {}", "s: {order: confidance}", ["line 10", "'confidance'", "Did you mean confidence?"]),
        ("s: {}", "s: {top_p: 1.5}", ["samplers.s.top_p is 1.5", "at most 1"]),
        ("s: {}", "s: {}\n  s: {steps: 4}", ["line 11", "samplers.s is given twice", "Rename or remove"]),
        (
            "s: {}",
            "s: {order: entropy, remask: {strategy: capped}}",
            ["samplers.s.remask", "only the ancestral", "line"],
        ),
        (
            "s: {}",
            "s: {order: entropy_bounded, guide: {method: smc}}",
            ["line 10", "samplers.s.guide.method is smc, but the order is entropy_bounded", "best_of"],
        ),
        (
            "s: {}",
            "s: {remask: {strategy: capped}, guide: {method: smc}}",
            ["line 10", "samplers.s.remask masks again what particles were scored by"],
        ),
        (
            "s: {}",
            "s: {guide: {method: best_of}}\nevaluation: {oracle: null}",
            ["line 10", "samplers.s.guide.scorer is oracle, but evaluation.oracle is null", "package.module:function"],
        ),
        ("s: {}", "s: {guide: {scorer: judge}}", ["samplers.s.guide.scorer is 'judge'", "oracle"]),
        ("a: {}", "a/b: {}", ["'a/b'", "names folders"]),
        ("s: {}", "s: {refine: {passes: 1}}", ["samplers.s.refine needs threshold or fraction", "line 10"]),
        ("test: [chr3]", "test: []", ["split.test names no chromosome", "split.by: fraction"]),
        ("test: [chr3]", "tset: [chr3]", ["split.tset is not a known key", "Did you mean test?"]),
        ("  source: genome.fa\n", "", ["genome.source is missing", "Add the key"]),
        ("tracks: tracks.tsv\n", "", ["either by genome and tracks, or by sequences"]),
        ("seed", "seed", []),
    ],
)
def test_each_mistake_has_its_message(tmp_path, old, new, parts):
    if not parts:
        pytest.raises(UserError, load, tmp_path, "seed: [1]\n" + GOOD)
        return
    text = message(tmp_path, GOOD.replace(old, new))
    for part in parts:
        assert part in text


def test_all_mistakes_are_told_at_once(tmp_path):
    text = message(tmp_path, GOOD.replace("a: {}", "a: {x: 1}").replace("s: {}", "s: {steps: 0}"))
    assert text.startswith("2 mistakes in the configuration")
    assert "models.a.x" in text
    assert "samplers.s.steps" in text


def test_a_file_that_is_no_yaml_names_the_line(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("seed: 1\nmodels: {a: [}\n")
    with pytest.raises(UserError, match="config.yaml, line 2 is not valid YAML"):
        load_config({}, [file], SCHEMAS / "config.schema.json")


def test_runs_are_all_pairs_unless_narrowed(tmp_path):
    both = GOOD.replace("a: {}", "a: {}\n  b: {}").replace("s: {}", "s: {}\n  t: {}")
    assert runs(load(tmp_path, both)) == [("a", "s"), ("a", "t"), ("b", "s"), ("b", "t")]
    assert runs(load(tmp_path, both + "generate: {runs: {b: [t]}}\n")) == [("b", "t")]


def test_runs_that_name_nothing_known(tmp_path):
    text = message(tmp_path, GOOD + "generate: {runs: {b: [s], a: [u, s, s]}}\n")
    assert "the model b, which models does not" in text
    assert "the sampler u, which samplers does not" in text
    assert "names the sampler s twice" in text


def test_fractions_must_leave_training_windows(tmp_path):
    split = "split: {by: fraction, fractions: {validation: 0.5, test: 0.5}}"
    text = message(tmp_path, GOOD.replace("split: {validation: [chr2], test: [chr3]}", split))
    assert "leave nothing for training" in text


def test_a_table_split_by_chromosome_needs_the_column(tmp_path):
    data = "genome:\n  source: genome.fa\n  chroms: [chr1-3]\ntracks: tracks.tsv\n"
    table = GOOD.replace(data, "sequences: {files: [{source: t.tsv}]}\n")
    assert "names no column of t.tsv" in message(tmp_path, table)
    load(tmp_path, table.replace("t.tsv", "t.fa.gz"))


def sheet(tmp_path, text):
    file = tmp_path / "tracks.tsv"
    file.write_text(text.replace(" ", "\t"))
    return read_track_sheet(file, SCHEMAS / "tracks.schema.json")


def test_the_sheet_is_read(tmp_path):
    tracks = sheet(tmp_path, "name label source checksum\na K562 x.bigBed\nb K562 ENCFF001ABC " + 32 * "0" + "\n\n")
    assert [track["format"] for track in tracks] == ["bigbed", "bigbed"]
    assert tracks[0]["checksum"] == ""


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name source\na x.bed\n", ["line 1", "the column label is missing"]),
        ("name label source fromat\n", ["the column 'fromat' is not known", "Did you mean format?"]),
        ("name label source source\n", ["the column source stands twice"]),
        ("name label source\n", ["names no track"]),
        ("", ["is empty", "name, label, source"]),
        ("name label source\na l x.bed\na l y.bed\n", ["line 3", "'a' stands in line 2 already", "name of its own"]),
        ("name label source\na l x.bed\nb l x.bed\n", ["line 3", "the source 'x.bed' stands in line 2"]),
        ("name label source\na  x.bed\n", ["line 2", "no label"]),
        ("name label source\na/b l x.bed\n", ["line 2", "'a/b' will not do"]),
        ("name label source format\na l x.bed bedd\n", ["'bedd' will not do", "One of auto, bigbed"]),
        ("name label source checksum\na l x.bed 12\n", ["checksum '12' will not do"]),
        ("name label source\na l x.bed extra more\n", ["line 2", "5 fields, but the header names 3 columns"]),
    ],
)
def test_each_mistake_in_the_sheet_has_its_message(tmp_path, text, parts):
    with pytest.raises(UserError) as caught:
        sheet(tmp_path, text)
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_sheet(tmp_path):
    with pytest.raises(UserError, match=r"The track sheet .*none.tsv does not exist"):
        read_track_sheet(tmp_path / "none.tsv", SCHEMAS / "tracks.schema.json")


@pytest.mark.parametrize(
    ("source", "form"),
    [
        ("a/b.bb", "bigbed"),
        ("https://x/y.bigBed?download=1", "bigbed"),
        ("p.narrowPeak.gz", "narrowpeak"),
        ("p.broadPeak", "broadpeak"),
        ("p.bed.gz", "bed"),
        ("p.txt", "auto"),
        ("ENCFF123ABC", "bigbed"),
    ],
)
def test_formats_by_name(source, form):
    assert format_of(source) == form


def test_what_is_remote():
    assert [is_remote(s) for s in ("ftp://x/y", "HTTPS://x", "ENCFF123ABC", "ENCFF.bed", "x/http.bed")] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_missing_files_are_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("there.bed").touch()
    sources = {"a": "there.bed", "b": "gone.bed", "c": "made/later.bb", "d": "https://x/y", "e": None, "f": "lost.bed"}
    with pytest.raises(UserError) as caught:
        check_sources(sources, made="made/")
    assert "b: the file gone.bed does not exist" in str(caught.value)
    assert "f: the file lost.bed does not exist" in str(caught.value)
    assert "there.bed" not in str(caught.value)
    check_sources({"a": "there.bed"}, made="made/")


def test_labels_asked_for_must_exist(tmp_path):
    config = load(tmp_path, GOOD + "generate: {labels: {K563: 3}}\n")
    with pytest.raises(UserError, match=r"generate.labels.K563 is not a label.*Did you mean K562\?"):
        check_labels(config, {"K562", "HepG2"})
    check_labels(config, {"K563"})


def test_held_out_chromosomes():
    chroms = ["chr1", "chr2", "chr3"]
    check_split({"validation": ["chr2"], "test": ["chr3"]}, chroms)
    for split, part in (
        ({"validation": ["chr2"], "test": ["chr9"]}, "split.test names chr9, which genome.chroms does not"),
        ({"validation": ["chr2"], "test": ["chr2"]}, "both name chr2"),
        ({"validation": ["chr1", "chr2"], "test": ["chr3"]}, "Leave chromosomes for training"),
    ):
        with pytest.raises(UserError, match=part):
            check_split(split, chroms)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"backbone": "no/such/folder"}, "neither an architecture .* nor a folder with a config.json"),
        ({"backbone": "dnabert"}, "Did you mean dnabert2"),
        ({"backbone": "convnet", "finetune": {"method": "lora"}}, "convnet is trained from scratch: nothing is there"),
        ({"backbone": "convnet", "tokenizer": {"kind": "kmers"}}, "the convnet backbone reads single bases"),
        ({"backbone": "recurrent", "tokenizer": {"kind": "bpe"}}, "the recurrent backbone reads single bases"),
        ({"backbone": "owner/name", "tokenizer": {}}, "brings its own. Remove tokenizer"),
        ({"backbone": "owner/name", "architecture": {"width": 8}}, "has its sizes. Remove architecture"),
        ({"backbone": "owner/name", "trust_remote_code": True}, "Set revision to the commit that you have read"),
        ({"backbone": "owner/name", "trust_remote_code": True, "revision": "main"}, "Set revision to the commit"),
        ({"steps": 10, "minutes": 3}, "models.a gives steps and minutes: one of them says how long"),
        ({"steps": 10, "epochs": 3}, "models.a gives steps and epochs: one of them says how long"),
        ({"batch_size": 4, "gradient_accumulation": 5}, "gradient_accumulation is 5, but a step has 4 windows"),
        ({"backbone": "convnet", "gradient_checkpointing": True}, "the convnet backbone does not support it"),
        ({"gradient_checkpointing": True}, "the recurrent backbone does not support it"),
        ({"backbone": "recurrent", "weighting": {}}, "all weigh the same: that is the exact bound. Remove weighting"),
        ({"backbone": "recurrent", "masking": {"kind": "span"}}, "masking.kind is span, but the recurrent backbone"),
        (
            {"backbone": "convnet", "masking": {"left_to_right": 0.5}},
            "the convnet backbone sees what it predicts.* set backbone: recurrent",
        ),
        ({"precision": "bf16"}, "expected one of auto, float32, tf32, bfloat16, float16"),
        ({"backbone": "bert", "revision": "abc"}, "bert is trained from scratch. Remove revision"),
        ({"comb_factor": 1, "label_dropout": 0}, "a classifier that is shown the label learns nothing"),
    ],
)
def test_backbones_that_cannot_be_meant(tmp_path, monkeypatch, model, message):
    monkeypatch.chdir(tmp_path)
    config = yaml.safe_load(GOOD)
    config["models"]["a"] = model
    with pytest.raises(UserError, match=rf"line \d+: .*{message}"):
        load(tmp_path, yaml.safe_dump(config))


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"a": {"start_from": "b"}}, "models.a.start_from names b, which models does not"),
        ({"first": {}, "a": {"start_from": "firts"}}, "Did you mean first"),
        ({"a": {"start_from": "a"}}, "goes round in a circle: a <- a"),
        ({"a": {"start_from": "b"}, "b": {"start_from": "a"}}, "circle: a <- b <- a(.|\n)*circle: b <- a <- b"),
        (
            {"b": {}, "a": {"start_from": "b", "backbone": "bert"}},
            "models.a.backbone is given, but the model starts from b",
        ),
        ({"b": {}, "a": {"start_from": "b", "architecture": {}}}, "Remove architecture or start_from"),
    ],
)
def test_models_that_cannot_be_started_from(tmp_path, models, message):
    config = yaml.safe_load(GOOD)
    config["models"] = models
    with pytest.raises(UserError, match=message):
        load(tmp_path, yaml.safe_dump(config))


def test_a_model_that_starts_from_another(tmp_path):
    config = load(tmp_path, GOOD.replace("a: {}", "a: {backbone: bert}\n  b: {start_from: a}\n  c: {start_from: b}"))
    assert [model["backbone"] for model in config["models"].values()] == [
        "bert",
        "results/models/a",
        "results/models/b",
    ]
    assert config["models"]["c"]["architecture"] == {}
    assert published_backbones(config) == {}


def test_a_model_of_tiles_teaches_and_does_not_generate(tmp_path):
    text = GOOD.replace("a: {}", "a: {data: tiles}\n  b: {start_from: a}\n  c: {}")
    config = load(tmp_path, text)
    assert labelled(config) == ["b", "c"]
    assert runs(config) == [("b", "s"), ("c", "s")]
    assert config["tiles"] == {
        "width": 200,
        "stride": 200,
        "max_n": 0.0,
        "max_lower_case": 1.0,
        "number": 1_000_000,
        "validation_number": 2000,
    }
    tiles = load(tmp_path, text + "tiles: {width: 90}\n")["tiles"]
    assert (tiles["width"], tiles["stride"]) == (90, 90)
    tiles = load(tmp_path, text + "tiles: {stride: 50}\n")["tiles"]
    assert (tiles["width"], tiles["stride"]) == (200, 50)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a: {}", "a: {data: tile}", "expected one of windows, tiles. Did you mean tiles?"),
        ("a: {}", "a: {data: tiles}", "models of tiles alone, which know no label(.|\n)*start_from"),
        (
            "a: {}",
            "a: {}\n  b: {data: tiles, comb_factor: 1}",
            "models.b.comb_factor is set, but tiles have no label to be told",
        ),
        (
            "{validation: [chr2], test: [chr3]}\nmodels:\n  a: {}",
            "{by: fraction}\nmodels:\n  a: {}\n  b: {data: tiles}",
            "models.b.data is tiles, but split.by is fraction(.|\n)*Set split.by: chromosome",
        ),
        (
            "samplers:",
            "  b: {data: tiles}\ngenerate: {runs: {b: [s]}}\nsamplers:",
            "generate.runs names the model b, which is trained on tiles and knows no label",
        ),
        (
            "genome:\n  source: genome.fa\n  chroms: [chr1-3]\ntracks: tracks.tsv\n",
            "sequences: {files: [{source: a.fa}]}\n",
            "models.b.data is tiles, but there is no genome to cut them from",
        ),
    ],
)
def test_tiles_that_cannot_be_had(tmp_path, old, new, message):
    text = GOOD if "sequences" not in new else GOOD.replace("a: {}", "a: {}\n  b: {data: tiles}")
    assert old in text
    with pytest.raises(UserError, match=message):
        load(tmp_path, text.replace(old, new))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({}, (32, "auto", 1)),
        ({"preset": "laptop"}, (32, "auto", 1)),
        ({"preset": "gpu24"}, (128, "bfloat16", 1)),
        ({"preset": "gpu80"}, (256, "bfloat16", 1)),
        ({"preset": "gpu24", "backbone": "owner/DNA-117M"}, (64, "bfloat16", 1)),
        ({"preset": "gpu24", "backbone": "owner/nt-v2-500m-multi"}, (64, "bfloat16", 4)),
        ({"preset": "gpu80", "backbone": "owner/nt-2.5b"}, (128, "bfloat16", 2)),
        ({"preset": "laptop", "backbone": "owner/no-size"}, (32, "auto", 4)),
        ({"preset": "laptop", "backbone": "bert", "architecture": {"width": 768, "layers": 12}}, (32, "auto", 4)),
        ({"preset": "laptop", "start_from": "large"}, (32, "auto", 16)),
        ({"preset": "gpu24", "batch_size": 8, "precision": "tf32"}, (8, "tf32", 1)),
        ({"preset": "laptop", "backbone": "owner/nt-500m", "batch_size": 4}, (4, "auto", 4)),
        ({"preset": "laptop", "backbone": "owner/nt-500m", "gradient_accumulation": 2}, (32, "auto", 2)),
    ],
)
def test_presets_stand_in_the_place_of_defaults_and_of_nothing_given(tmp_path, model, expected):
    config = yaml.safe_load(GOOD)
    config["models"] = {"a": model, "large": {"backbone": "owner/nt-500m"}}
    found = load(tmp_path, yaml.safe_dump(config))["models"]["a"]
    assert (found["batch_size"], found["precision"], found["gradient_accumulation"]) == expected
    assert "preset" not in found  # so that its name alone re-trains nothing


def test_sizes_of_backbones(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(4000))
    assert parameters_of(str(tmp_path), {}) == 1000
    assert parameters_of("zhihan1996/DNABERT-2-117M", {}) == 117e6
    assert parameters_of("InstaDeepAI/nucleotide-transformer-v2-50m-multi-species", {}) == 50e6
    assert parameters_of("InstaDeepAI/nucleotide-transformer-2.5b-1000g", {}) == 2.5e9
    assert parameters_of("owner/10mer-model", {}) is None
    # Within a factor of two of the real numbers.
    tokenizer = BaseTokenizer(["a"])
    for backbone, sizes in (
        ("convnet", {**SETTINGS["architecture"], "width": 128}),
        ("bert", {"width": 128, "layers": 4, "heads": 4, "expansion": 2}),
        ("dnabert2", {"width": 128, "layers": 4, "heads": 4, "expansion": 2}),
        ("recurrent", {"embedded": 32, "kmer": 7, "width": 336, "layers": 1, "mixed": 128, "expansion": 2}),
        ("recurrent", {"embedded": 32, "kmer": 9, "width": 64, "layers": 1, "mixed": 128, "expansion": 2}),
    ):
        model = build_model({"backbone": backbone, "architecture": sizes, "dropout": 0.0}, tokenizer, 200)
        real = sum(p.numel() for p in model.parameters())
        assert 0.5 < parameters_of(backbone, sizes) / real < 2, backbone


def test_published_backbones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local/model").mkdir(parents=True)
    (tmp_path / "local/model/config.json").write_text("{}")
    config = yaml.safe_load(GOOD)
    config["models"] = {
        "a": {"backbone": "owner/Name-1", "revision": "refs/pr/1"},
        "b": {"backbone": "owner/Name-1"},
        "c": {"backbone": "local/model"},
        "d": {"backbone": "bert"},
    }
    filled = load(tmp_path, yaml.safe_dump(config))
    assert published_backbones(filled) == {
        "owner--Name-1--refs_pr_1": {"source": "owner/Name-1", "revision": "refs/pr/1", "code": False},
        "owner--Name-1": {"source": "owner/Name-1", "revision": None, "code": False},
    }
    assert filled["models"]["a"]["architecture"] == {}


def test_files_to_score_have_names_of_their_own_and_known_labels(tmp_path):
    files = "[{name: a, source: a.fa, label: x}, {name: a, source: b.fa}]"
    text = message(tmp_path, GOOD + f"score: {{fasta: {files}}}\n")
    assert "line 11: score.fasta has two files named a." in text
    config = load(tmp_path, GOOD + "score: {variants: [{name: a, source: a.vcf, label: hepatik}]}\n")
    assert config["score"]["fasta"] == []
    with pytest.raises(UserError, match="score.variants, a: the label hepatik .* Did you mean hepatic?"):
        check_labels(config, {"hepatic"})
    check_labels(config, {"hepatik"})
    assert "score.variants.0.name" in message(tmp_path, GOOD + "score: {variants: [{name: a.b, source: a.vcf}]}\n")


def test_variants_need_a_genome(tmp_path):
    text = GOOD.replace("genome:\n  source: genome.fa\n  chroms: [chr1-3]\ntracks: tracks.tsv\n", "")
    text = text.replace("split: {validation: [chr2], test: [chr3]}", "split: {by: fraction}")
    text += "sequences: {files: [{source: a.tsv}]}\nscore: {variants: [{name: a, source: a.vcf}]}\n"
    assert "score.variants is given, but there is no genome" in message(tmp_path, text)


@pytest.mark.parametrize(
    ("predictor", "said"),
    [
        (
            "{}",
            "line 11: evaluation.predictors.mpra needs entry_point (a function) or scores (a table), one of the two",
        ),
        ("{entry_point: 'a:b', scores: a.tsv}", "evaluation.predictors.mpra needs entry_point"),
        ("{scores: 'https://x.org/a.tsv'}", "evaluation.predictors.mpra.scores is https://x.org/a.tsv, but a table is"),
        (
            "{scores: a.tsv, conda: e.yaml}",
            "evaluation.predictors.mpra.conda is given, but a table needs no environment",
        ),
        ("{entry_point: a.b}", "evaluation.predictors.mpra.entry_point is 'a.b', expected text that matches"),
        ("{score: a.tsv}", "Did you mean scores?"),
    ],
)
def test_predictors_are_a_function_or_a_table(tmp_path, predictor, said):
    assert said in message(tmp_path, GOOD + f"evaluation: {{predictors: {{mpra: {predictor}}}}}\n")
    config = load(tmp_path, GOOD + "evaluation: {predictors: {a: {entry_point: 'a.b:c'}, b: {scores: a.csv}}}\n")
    assert config["evaluation"]["predictors"]["a"] == {"entry_point": "a.b:c", "scores": None, "conda": None}


def test_sequences_made_elsewhere_need_no_key_of_models(tmp_path):
    config = load(tmp_path, GOOD.partition("models:")[0] + "external: {a: {source: a.fa}}\n")
    assert config["models"] == {}
    assert runs(config) == []
