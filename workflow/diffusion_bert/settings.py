"""The user's config and track sheet: read, checked as a whole before any job runs, and filled with defaults.

Only the standard library, PyYAML and jsonschema are imported: the Snakefile calls this on each parse.
Every mistake found is told in one message, each with the key (and its file and line, where there is one) and a remedy.
"""

import csv
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from diffusion_bert.errors import UserError
from diffusion_bert.presets import parameters_of, preset

Config = dict[str, Any]
Place = tuple[str | int, ...]

TRACK_FORMATS = {
    "bigbed": (".bb", ".bigbed"),
    "narrowpeak": (".narrowpeak",),
    "broadpeak": (".broadpeak",),
    "bed": (".bed",),
}
REMOTE = ("http://", "https://", "ftp://")
ACCESSION = re.compile(r"^ENCFF[0-9]{3}[A-Z]{3}$")
# What a model's backbone may be besides a published one: an architecture, trained from scratch.
ARCHITECTURES = ("convnet", "bert", "dnabert2", "nucleotide_transformer")
# Stands as the sampler of sequences that were made elsewhere.
EXTERNAL = "external"
# Each trained model's folder is below this one.
MODELS = "results/models"
_HUB_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$")


# What a model has of the one that it starts from.
_BROUGHT = ("backbone", "revision", "trust_remote_code", "reinit", "tokenizer", "architecture")


def load_config(config: Mapping[str, Any], files: list[str | Path], schema: Path) -> Config:
    """The config with the schema's defaults filled in; UserError lists every mistake.

    config: the merged config. files: the YAML files it came from, for line numbers and for names given twice (which
    YAML parsers drop without a word). schema: the JSON schema's path.
    """
    rules = json.loads(Path(schema).read_text())
    lines: dict[Place, str] = {}
    problems = []
    for file in files:
        for place, where, twice in _yaml_keys(Path(file)):
            lines[place] = where
            if twice:
                problems.append(f"{where}: {_dotted(place)} is given twice. Rename or remove one of them.")
    plain = json.loads(json.dumps(config))  # Snakemake hands over ordered mappings
    validator = jsonschema.Draft202012Validator(rules)
    for error in sorted(validator.iter_errors(plain), key=lambda error: list(map(str, error.absolute_path))):
        problems += _explain(error, lines)
    if problems:
        raise _all(problems)
    filled = _with_defaults(plain, rules)
    for model in filled["models"].values():
        if model["steps"] is not None or model["minutes"] is not None:
            model["epochs"] = None
        if model["start_from"] is not None:
            model["backbone"] = f"{MODELS}/{model['start_from']}"
    for name, model in filled["models"].items():
        _follow_preset(name, model, plain["models"][name], filled["models"])
    tiles = filled["tiles"]
    tiles["width"] = tiles["width"] or filled["windows"]["width"]
    tiles["stride"] = tiles["stride"] or tiles["width"]
    problems = [f"{_where(place, lines)}{text}" for place, text in _contradictions(filled)]
    for name, model in filled["models"].items():
        budget = [key for key in ("steps", "epochs", "minutes") if plain["models"][name].get(key) is not None]
        if len(budget) > 1:
            place = ("models", name, budget[-1])
            problems.append(
                f"{_where(place, lines)}models.{name} gives {' and '.join(budget)}: one of them says how long to "
                "train. Keep one."
            )
        if model["start_from"] is not None:
            for key in _BROUGHT:
                if key in plain["models"][name]:
                    place = ("models", name, key)
                    problems.append(
                        f"{_where(place, lines)}{_dotted(place)} is given, but the model starts from "
                        f"{model['start_from']}, which brings its own. Remove {key} or start_from."
                    )
            model["architecture"] = {}
        if model["backbone"] in ARCHITECTURES or model["start_from"] is not None:
            continue
        if "architecture" in plain["models"][name]:
            place = ("models", name, "architecture")
            problems.append(
                f"{_where(place, lines)}{_dotted(place)} is given, but the backbone {model['backbone']} has its sizes. "
                f"Remove architecture, or choose one of {', '.join(ARCHITECTURES)}.{_architecture(model['backbone'])}"
            )
        model["architecture"] = {}
    if problems:
        raise _all(problems)
    return filled


def read_track_sheet(path: str | Path, schema: Path) -> list[dict[str, str]]:
    """The rows of the track sheet (TSV), with ``format`` resolved from the source's name where that tells it.

    UserError lists every mistake: missing or unknown column, bad value, a name given twice, the same source twice.
    """
    path = Path(path)
    properties = json.loads(Path(schema).read_text())["properties"]
    required = json.loads(Path(schema).read_text())["required"]
    if not path.is_file():
        raise UserError(f"The track sheet {path} does not exist.", "Set the key tracks to your sheet.")
    with path.open(newline="", encoding="utf-8-sig") as handle:
        rows = [(number, row) for number, row in enumerate(csv.reader(handle, delimiter="\t"), start=1)]
    rows = [(n, row) for n, row in rows if any(cell.strip() for cell in row) and not row[0].startswith("#")]
    if not rows:
        raise UserError(f"The track sheet {path} is empty.", f"Name the columns first: {', '.join(required)}.")
    line, header = rows[0]
    problems = [
        f"{path}, line {line}: the column {name} is missing. Columns are separated by tabs; needed are "
        f"{', '.join(required)}."
        for name in required
        if name not in header
    ]
    problems += [
        f"{path}, line {line}: the column {name!r} is not known.{_suggest(name, properties)}"
        for name in header
        if name not in properties
    ]
    problems += [f"{path}, line {line}: the column {name} stands twice. Remove one." for name in _twice(header)]
    if problems:
        raise _all(problems)
    tracks: list[dict[str, str]] = []
    first: dict[tuple[str, str], int] = {}
    for number, cells in rows[1:]:
        if len(cells) > len(header):
            problems.append(
                f"{path}, line {number}: {len(cells)} fields, but the header names {len(header)} columns. "
                "Separate columns by single tabs."
            )
            continue
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
        for name in required:
            if name not in row:
                problems.append(f"{path}, line {number}: no {name}. {properties[name]['description']}")
        for name, cell in row.items():
            rule = properties[name]
            if ("pattern" in rule and not re.match(rule["pattern"], cell)) or (
                "enum" in rule and cell not in rule["enum"]
            ):
                choices = f" One of {', '.join(rule['enum'])}." if "enum" in rule else ""
                problems.append(f"{path}, line {number}: {name} {cell!r} will not do. {rule['description']}{choices}")
        for name in ("name", "source"):
            key = (name, row.get(name, ""))
            if key[1] and first.setdefault(key, number) != number:
                problems.append(
                    f"{path}, line {number}: the {name} {key[1]!r} stands in line {first[key]} already. "
                    + ("Give each track a name of its own." if name == "name" else "Remove one of the two lines.")
                )
        row.setdefault("format", "auto")
        row.setdefault("checksum", "")
        if row["format"] == "auto":
            row["format"] = format_of(row.get("source", ""))
        tracks.append(row)
    if not problems and not tracks:
        problems.append(f"{path} names no track. Add a line for each peak file.")
    if problems:
        raise _all(problems)
    return tracks


def format_of(source: str) -> str:
    """The track format that a file's name tells, or ``auto``. An ENCODE accession is fetched as bigBed."""
    if ACCESSION.match(source):
        return "bigbed"
    name = source.split("?")[0].lower().removesuffix(".gz")
    for form, suffixes in TRACK_FORMATS.items():
        if name.endswith(suffixes):
            return form
    return "auto"


def is_hub_name(backbone: str) -> bool:
    """Whether a backbone is to be fetched from Hugging Face: owner/name, and no folder here has that path."""
    return _HUB_NAME.match(backbone) is not None and not Path(backbone).is_dir()


def is_commit(revision: str | None) -> bool:
    """Whether a revision names one commit, which never changes, as a branch or a tag may."""
    return re.fullmatch("[0-9a-f]{40}", revision or "") is not None


def published_backbones(config: Config) -> dict[str, dict[str, Any]]:
    """The backbones to be fetched, by a name that can be a folder's: ``source``, ``revision`` and ``code`` (whether the
    Python code that lies beside the weights is fetched too)."""
    found = {}
    for model in config["models"].values():
        if model["backbone"] not in ARCHITECTURES and is_hub_name(model["backbone"]):
            found[backbone_folder(model)] = {
                "source": model["backbone"],
                "revision": model["revision"],
                "code": model["trust_remote_code"],
            }
    return found


def backbone_folder(model: Mapping[str, Any]) -> str:
    """One folder's name for a published backbone at a revision."""
    parts = [model["backbone"].replace("/", "--"), model["revision"], "code" if model["trust_remote_code"] else None]
    return "--".join(re.sub(r"[^A-Za-z0-9_.-]", "_", part) for part in parts if part)


def is_remote(source: str) -> bool:
    """Whether a source is fetched (URL or ENCODE accession) rather than read from the file system."""
    return source.lower().startswith(REMOTE) or ACCESSION.match(source) is not None


def check_sources(sources: Mapping[str, str | None], made: str) -> None:
    """Every local input must exist before the run starts; UserError lists those that do not.

    sources: what needs the file (a key, or a line of the sheet) -> path or URL.
    made: the prefix of files that the workflow makes itself.
    """
    problems = [
        f"{what}: the file {source} does not exist (working folder: {Path.cwd()}). "
        "Correct the path, which is taken from the working folder, or give a URL."
        for what, source in sources.items()
        if source and not is_remote(source) and not source.startswith(made) and not Path(source).is_file()
    ]
    if problems:
        raise _all(problems)


def check_labels(config: Config, labels: set[str]) -> None:
    """The labels that ``generate.labels`` and ``score`` ask for must be labels of the tracks."""
    asked = config["generate"]["labels"] or {}
    problems = [
        f"generate.labels.{label} is not a label of any track (labels: {', '.join(sorted(labels))})."
        f"{_suggest(label, labels)}"
        for label in asked
        if label not in labels
    ]
    problems += [
        f"score.{kind}, {file['name']}: the label {file['label']} is not one of any track "
        f"(labels: {', '.join(sorted(labels))}).{_suggest(file['label'], labels)}"
        for kind, files in _scored(config)
        for file in files
        if file["label"] not in {None, *labels}
    ]
    if problems:
        raise _all(problems)


def check_split(split: Mapping[str, Any], chroms: list[str]) -> None:
    """The held-out chromosomes must be among those used, each on one side, and leave some for training.

    split: the config's ``split`` with ranges written out. chroms: ``genome.chroms``, likewise.
    """
    problems = [
        f"split.{part} names {chrom}, which genome.chroms does not.{_suggest(chrom, chroms)}"
        for part in ("validation", "test")
        for chrom in split[part]
        if chrom not in chroms
    ]
    problems += [
        f"split.validation and split.test both name {chrom}. Leave it to one of them."
        for chrom in split["validation"]
        if chrom in split["test"]
    ]
    if not problems and set(chroms) <= {*split["validation"], *split["test"]}:
        problems.append("split.validation and split.test take all of genome.chroms. Leave chromosomes for training.")
    if problems:
        raise _all(problems)


def labelled(config: Config) -> list[str]:
    """The models that know the labels, in the config's order: those of windows, and not those of tiles."""
    return [name for name, model in config["models"].items() if model["data"] == "windows"]


def runs(config: Config) -> list[tuple[str, str]]:
    """The (model, sampler) pairs to generate and evaluate, in the config's order."""
    chosen = config["generate"]["runs"]
    if chosen is None:
        return [(model, sampler) for model in labelled(config) for sampler in config["samplers"]]
    return [(model, sampler) for model, samplers in chosen.items() for sampler in samplers]


def external_runs(config: Config) -> list[tuple[str, str]]:
    """The sets made elsewhere, as runs of a sampler of that name."""
    return [(name, EXTERNAL) for name in config["external"]]


def library_runs(config: Config) -> list[tuple[str, str]]:
    """The (model, sampler) pairs whose sequences are candidates for ``library``; all runs unless it names some."""
    chosen = config["library"]["runs"]
    if chosen is None:
        return runs(config) + external_runs(config)
    return [(model, sampler) for model, samplers in chosen.items() for sampler in samplers]


def _is_fasta(source: str) -> bool:
    return source.split("?")[0].lower().removesuffix(".gz").endswith((".fa", ".fasta", ".fna"))


def _all(problems: list[str]) -> UserError:
    if len(problems) == 1:
        return UserError(problems[0], "Nothing has been run.")
    listed = "".join(f"\n  {number}. {problem}" for number, problem in enumerate(problems, start=1))
    return UserError(f"{len(problems)} mistakes in the configuration:{listed}\n", "Nothing has been run.")


def _dotted(place: Place) -> str:
    return ".".join(map(str, place)) or "the configuration"


def _where(place: Place, lines: Mapping[Place, str]) -> str:
    return f"{lines[place]}: " if place in lines else ""


def _suggest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(str(name), list(map(str, known)), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else f" Known here: {', '.join(map(str, known))}."


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _yaml_keys(path: Path) -> Iterator[tuple[Place, str, bool]]:
    """Every key of a YAML file: its place, ``file, line n``, and whether its mapping has it already."""
    try:
        root = yaml.compose(path.read_text(), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UserError(
            f"{path}{f', line {mark.line + 1}' if mark else ''} is not valid YAML: {getattr(error, 'problem', error)}.",
            "Check indentation, colons and quotes there.",
        ) from None

    def walk(node: yaml.Node | None, place: Place) -> Iterator[tuple[Place, str, bool]]:
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                inner = (*place, key.value)
                yield inner, f"{path}, line {key.start_mark.line + 1}", key.value in seen
                seen.add(key.value)
                yield from walk(value, inner)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                yield from walk(value, (*place, index))

    yield from walk(root, ())


def _explain(error: jsonschema.ValidationError, lines: Mapping[Place, str]) -> list[str]:
    """One validation error as sentences that name the key, what was expected, and the remedy."""
    place: Place = tuple(error.absolute_path)
    key = _dotted(place)
    meaning = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    at = _where(place, lines)
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        return [
            f"{_where((*place, name), lines)}{_dotted((*place, name))} is not a known key.{_suggest(name, known)} "
            "config/README.md lists every key."
            for name in error.instance
            if name not in known
        ]
    if error.validator == "required":
        name = next(name for name in error.validator_value if name not in error.instance)
        return [f"{at}{_dotted((*place, name))} is missing. {_description(error, name)} Add the key."]
    if error.validator in ("oneOf", "not", "anyOf"):
        return [
            "The data are given either by genome and tracks, or by sequences, not by both or neither. "
            "Keep one of the two (sequences also excludes simulate)."
        ]
    if "propertyNames" in error.absolute_schema_path:
        return [
            f"{at}{key}: the name {error.instance!r} will not do, since it names folders. "
            "Use letters, digits, '_', '.' and '-', and begin with a letter or digit."
        ]
    if error.validator == "type":
        wanted = error.validator_value
        wanted = " or ".join(wanted) if isinstance(wanted, list) else wanted
        return [f"{at}{key} is {error.instance!r}, expected {wanted}. {meaning} Correct the value."]
    if error.validator == "enum":
        return [
            f"{at}{key} is {error.instance!r}, expected one of {', '.join(map(str, error.validator_value))}."
            f"{_suggest(str(error.instance), error.validator_value)}"
        ]
    bounds = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "more than",
        "exclusiveMaximum": "less than",
        "minItems": "a number of entries of at least",
        "minProperties": "a number of entries of at least",
        "minLength": "a length of at least",
        "pattern": "text that matches",
    }
    wanted = f"{bounds.get(error.validator, error.validator)} {error.validator_value}"
    return [f"{at}{key} is {error.instance!r}, expected {wanted}. {meaning} Correct the value."]


def _description(error: jsonschema.ValidationError, name: str) -> str:
    return error.schema.get("properties", {}).get(name, {}).get("description", "")


def _with_defaults(value: Any, rules: Mapping[str, Any]) -> Any:
    """The value with the schema's defaults at every level, new objects throughout."""
    if "if" in rules:
        holds = jsonschema.Draft202012Validator(rules["if"]).is_valid(value)
        branch = rules["then" if holds else "else"]
        inner = {name: {**rules["properties"][name], **rule} for name, rule in branch["properties"].items()}
        rules = {**rules, "properties": {**rules["properties"], **inner}}
    if isinstance(value, dict):
        out = {}
        properties = rules.get("properties", {})
        for name, rule in properties.items():
            if name in value:
                out[name] = _with_defaults(value[name], rule)
            elif "default" in rule:
                out[name] = _with_defaults(json.loads(json.dumps(rule["default"])), rule)
        other = rules.get("additionalProperties")
        for name in value:
            if name not in out:
                out[name] = _with_defaults(value[name], other if isinstance(other, dict) else {})
        return out
    if isinstance(value, list):
        return [_with_defaults(item, rules.get("items", {})) for item in value]
    return value


def _follow_preset(name: str, model: Config, given: Config, models: Mapping[str, Config]) -> None:
    """Put what a model's preset says in the place of defaults, not of what is given; the preset itself goes."""
    chosen = model.pop("preset")
    if chosen is None:
        return
    first, passed = model, {name}
    while first["start_from"] in models and first["start_from"] not in passed:
        passed.add(first["start_from"])
        first = models[first["start_from"]]
    architecture = first["architecture"] if first["backbone"] in ARCHITECTURES else {}
    model.update(
        (key, value)
        for key, value in preset(chosen, parameters_of(first["backbone"], architecture)).items()
        if key not in given
    )
    if "gradient_accumulation" not in given:
        model["gradient_accumulation"] = min(model["gradient_accumulation"], model["batch_size"])


def _contradictions(config: Config) -> Iterator[tuple[Place, str]]:
    """What each key allows by itself, but not together."""
    split = config["split"]
    if split["by"] == "chromosome":
        for part in ("validation", "test"):
            if not split[part]:
                yield (
                    ("split", part),
                    f"split.{part} names no chromosome, so the {part} split would be empty. "
                    "Name at least one, or set split.by: fraction.",
                )
        if "sequences" in config and not config["sequences"]["columns"]["chrom"]:
            # The records of a FASTA may be named chrom:start-end.
            tables = [f["source"] for f in config["sequences"]["files"] if not _is_fasta(f["source"])]
            if tables:
                yield (
                    ("split", "by"),
                    f"split.by is chromosome, but sequences.columns.chrom names no column of {tables[0]}. "
                    "Name the table's column of chromosomes, or set split.by: fraction.",
                )
    elif split["fractions"]["validation"] + split["fractions"]["test"] >= 1:
        yield ("split", "fractions"), "split.fractions leave nothing for training. Make their sum less than 1."
    if "genome" in config and config["windows"]["width"] is None:
        yield ("windows", "width"), "windows.width is null, but windows from a genome need one. Give it in bp."
    gc = config["generate"]["filters"]["gc"]
    if gc is not None and gc[0] > gc[1]:
        yield (
            ("generate", "filters", "gc"),
            f"generate.filters.gc is {gc}: its first number is the lowest share, its second the highest. Swap them.",
        )
    for model, samplers in (config["generate"]["runs"] or {}).items():
        place = ("generate", "runs", model)
        if model not in config["models"]:
            known = config["models"]
            yield place, f"generate.runs names the model {model}, which models does not.{_suggest(model, known)}"
        elif config["models"][model]["data"] == "tiles":
            yield (
                place,
                f"generate.runs names the model {model}, which is trained on tiles and knows no label. "
                f"Name a model that starts from it (start_from: {model}).",
            )
        for sampler in samplers:
            if sampler not in config["samplers"]:
                yield (
                    place,
                    f"generate.runs.{model} names the sampler {sampler}, which samplers does not."
                    f"{_suggest(sampler, config['samplers'])}",
                )
        for sampler in _twice(samplers):
            yield place, f"generate.runs.{model} names the sampler {sampler} twice. Remove one."
    if "library" in config:
        yield from _library_problems(config)
    for name, predictor in config["evaluation"]["predictors"].items():
        for text in _predictor_problems(f"evaluation.predictors.{name}", predictor):
            yield ("evaluation", "predictors", name), text
    if config["models"] and not labelled(config):
        yield (
            ("models",),
            "models holds models of tiles alone, which know no label, so nothing could be generated. "
            "Add one of windows that starts from them (start_from).",
        )
    if config["models"] and not config["samplers"]:
        yield ("samplers",), "samplers names none, so nothing could be generated. Name one: a name and {} will do."
    if not config["models"] and not config["external"]:
        yield (
            ("models",),
            "models and external are both empty: there is nothing to generate and nothing to evaluate. "
            "Name a model to train, or the file of sequences made elsewhere under external.",
        )
    for name in config["external"]:
        if name in config["models"]:
            yield ("external", name), f"external and models both hold the name {name}. Rename one of them."
    for name, model in config["models"].items():
        if model["data"] == "tiles":
            for key, text in _tile_problems(name, config):
                yield ("models", name, key), text
        if model["start_from"] is not None:
            yield from _start_problems(name, config["models"])
        for key, text in _backbone_problems(name, model):
            yield ("models", name, key), text
    for kind, files in _scored(config):
        for name in _twice([file["name"] for file in files]):
            yield ("score", kind), f"score.{kind} has two files named {name}. Give each a name of its own."
        if kind == "variants" and files and "genome" not in config:
            yield (
                ("score", kind),
                "score.variants is given, but there is no genome to cut windows from. "
                "Give genome and tracks, or the windows themselves as score.fasta.",
            )
    for name, sampler in config["samplers"].items():
        refine = sampler["refine"]
        if refine["passes"] and (refine["threshold"] is None) == (refine["fraction"] is None):
            yield (
                ("samplers", name, "refine"),
                f"samplers.{name}.refine needs threshold or fraction, one of the two. Set one of them.",
            )
        if sampler["remask"]["strategy"] is not None and sampler["order"] != "ancestral":
            yield (
                ("samplers", name, "remask"),
                f"samplers.{name}.remask is set, but its order is {sampler['order']}, and only the ancestral order "
                "remasks. Remove order or remask.",
            )
        yield from _guide_problems(name, config)


def _guide_problems(name: str, config: Config) -> Iterator[tuple[Place, str]]:
    """What a sampler's guide asks for and cannot have."""
    sampler, key = config["samplers"][name], f"samplers.{name}.guide"
    guide, place = sampler["guide"], ("samplers", name, "guide")
    if guide["method"] is None:
        return
    if guide["scorer"] == "oracle" and config["evaluation"]["oracle"] is None:
        yield (
            place,
            f"{key}.scorer is oracle, but evaluation.oracle is null, so none is trained. "
            "Remove evaluation.oracle: null, or name a function as scorer (package.module:function).",
        )
    if guide["method"] == "smc" and sampler["order"] == "entropy_bounded":
        yield (
            place,
            f"{key}.method is smc, but the order is entropy_bounded, which has no steps known ahead at which "
            "particles could be compared. Choose another order, or method: best_of.",
        )
    if guide["method"] == "smc" and sampler["remask"]["strategy"] is not None:
        yield (
            place,
            f"{key}.method is smc, but samplers.{name}.remask masks again what particles were scored by. "
            "Remove remask, or choose method: best_of.",
        )


def scorer_file(entry: str) -> str | None:
    """The file of a function's module (package.module:function), where it lies in the working folder."""
    module = Path(*entry.partition(":")[0].split("."))
    for file in (module.with_suffix(".py"), module / "__init__.py"):
        if ":" in entry and file.is_file():
            return str(file)
    return None


def _predictor_problems(key: str, predictor: Mapping[str, Any]) -> Iterator[str]:
    if (predictor["entry_point"] is None) == (predictor["scores"] is None):
        yield f"{key} needs entry_point (a function) or scores (a table), one of the two. Set one of them."
    elif is_remote(predictor["scores"] or ""):
        yield f"{key}.scores is {predictor['scores']}, but a table is read from here. Download it, and give its path."
    elif predictor["scores"] is not None and predictor["conda"] is not None:
        yield f"{key}.conda is given, but a table needs no environment. Remove conda."


def _library_problems(config: Config) -> Iterator[tuple[Place, str]]:
    library = config["library"]
    if config["evaluation"]["oracle"] is None:
        yield (
            ("library",),
            "library is given, but evaluation.oracle is null, and it is the guide that ranks the candidates. "
            "Remove evaluation.oracle: null, or library.",
        )
    if library["gc"] is not None and library["gc"][0] > library["gc"][1]:
        yield (
            ("library", "gc"),
            f"library.gc is {library['gc']}: its first number is the lowest share, its second the highest. Swap them.",
        )
    if library["controls"]["shuffled"] > library["number"]:
        yield (
            ("library", "controls", "shuffled"),
            f"library.controls.shuffled is {library['controls']['shuffled']}, but each label has {library['number']} "
            "designs to be shuffled (library.number). Lower it.",
        )
    made = [f"{model}/{sampler}" for model, sampler in runs(config) + external_runs(config)]
    for model, sampler in library_runs(config):
        if f"{model}/{sampler}" not in made:
            yield (
                ("library", "runs", model),
                f"library.runs names {model}/{sampler}, which is no run.{_suggest(f'{model}/{sampler}', made)}",
            )
    for model, samplers in (library["runs"] or {}).items():
        for sampler in _twice(samplers):
            yield ("library", "runs", model), f"library.runs.{model} names {sampler} twice. Remove one."


def _scored(config: Config) -> list[tuple[str, list[dict[str, Any]]]]:
    """The files to score, by kind."""
    return [(kind, config["score"][kind]) for kind in ("fasta", "variants")] if "score" in config else []


def _start_problems(name: str, models: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Why a model cannot start from the one that it names: there is none, or that one starts, in the end, from it."""
    place, other = ("models", name, "start_from"), models[name]["start_from"]
    if other not in models:
        known = [known for known in models if known != name]
        yield place, f"models.{name}.start_from names {other}, which models does not.{_suggest(other, known)}"
        return
    chain = [name]
    while chain.count(chain[-1]) == 1:
        other = models[chain[-1]]["start_from"]
        if other is None or other not in models:
            return
        chain.append(other)
    if chain[-1] == name:
        yield (
            place,
            f"models.{name}.start_from goes round in a circle: {' <- '.join(chain)}. "
            "Let one of them start from nothing.",
        )


def _tile_problems(name: str, config: Config) -> Iterator[tuple[str, str]]:
    """Why a model cannot be trained on tiles: (key, text)."""
    if "genome" not in config:
        yield (
            "data",
            f"models.{name}.data is tiles, but there is no genome to cut them from. "
            "Give genome and tracks, or remove data.",
        )
    elif config["split"]["by"] != "chromosome":
        yield (
            "data",
            f"models.{name}.data is tiles, but split.by is {config['split']['by']}: held-out windows would lie in "
            "tiles that train. Set split.by: chromosome.",
        )
    if config["models"][name]["comb_factor"] is not None:
        yield (
            "comb_factor",
            f"models.{name}.comb_factor is set, but tiles have no label to be told. Remove comb_factor.",
        )


def _backbone_problems(name: str, model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a model's settings say of its backbone and cannot all be meant: (key, text)."""
    backbone, key = model["backbone"], f"models.{name}"
    if model["comb_factor"] is not None and model["label_dropout"] == 0:
        yield (
            "comb_factor",
            f"{key}.comb_factor is set, but label_dropout is 0: a classifier that is shown the label learns nothing. "
            "Raise label_dropout.",
        )
    if model["gradient_accumulation"] > model["batch_size"]:
        yield (
            "gradient_accumulation",
            f"{key}.gradient_accumulation is {model['gradient_accumulation']}, but a step has {model['batch_size']} "
            "windows (batch_size) to be cut into so many parts. Lower it.",
        )
    if backbone == "convnet" and model["gradient_checkpointing"]:
        yield (
            "gradient_checkpointing",
            f"{key}.gradient_checkpointing is set, but a convnet does not support it. "
            "Remove it, and raise gradient_accumulation where memory is short.",
        )
    if model["start_from"] is not None:
        return
    if backbone in ARCHITECTURES:
        kind = (model["tokenizer"] or {"kind": "bases"})["kind"]
        if backbone == "convnet" and kind != "bases":
            yield (
                "tokenizer",
                f"{key}.tokenizer.kind is {kind}, but a convnet reads single bases. "
                "Remove tokenizer, or choose a transformer as backbone (bert, dnabert2, nucleotide_transformer).",
            )
        if model["reinit"] or model["revision"] or model["trust_remote_code"]:
            what = next(k for k in ("reinit", "revision", "trust_remote_code") if model[k])
            yield what, f"{key}.{what} is set, but {backbone} is trained from scratch. Remove {what}."
        if model["finetune"]["method"] == "lora" or model["finetune"]["frozen_layers"]:
            yield (
                "finetune",
                f"{key}.finetune is set, but {backbone} is trained from scratch: nothing is there to keep. "
                "Remove finetune, or name a published backbone.",
            )
        return
    if model["tokenizer"] is not None:
        yield (
            "tokenizer",
            f"{key}.tokenizer is set, but the backbone {backbone} brings its own. Remove tokenizer.",
        )
    if not is_hub_name(backbone) and not (Path(backbone) / "config.json").is_file():
        yield (
            "backbone",
            f"{key}.backbone is {backbone!r}: neither an architecture ({', '.join(ARCHITECTURES)}), nor a name on "
            f"Hugging Face (owner/name), nor a folder with a config.json (working folder: {Path.cwd()}). "
            f"Correct it.{_architecture(backbone)}",
        )
    if not is_hub_name(backbone) and model["revision"]:
        yield "revision", f"{key}.revision is set, but {backbone} is a local folder. Remove revision."
    if is_hub_name(backbone) and model["trust_remote_code"] and not is_commit(model["revision"]):
        yield (
            "trust_remote_code",
            f"{key}.trust_remote_code runs code from {backbone}, which may change at any time. "
            "Set revision to the commit that you have read.",
        )


def _architecture(backbone: str) -> str:
    close = difflib.get_close_matches(backbone, ARCHITECTURES, n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""
