"""What each key allows by itself, but not together, and not with these data."""

from collections.abc import Iterator, Mapping
from typing import Any

from diffusion_bert.settings.messages import Config, Place, mistakes, repeated, suggest
from diffusion_bert.settings.models import backbone_problems, start_problems, tile_problems
from diffusion_bert.settings.runs import external_runs, labelled, library_runs, runs, scored
from diffusion_bert.settings.sources import is_remote


def check_labels(config: Config, labels: set[str]) -> None:
    """The labels that ``generate.labels`` and ``score`` ask for must be labels of the tracks."""
    asked = config["generate"]["labels"] or {}
    problems = [
        f"generate.labels.{label} is not a label of any track (labels: {', '.join(sorted(labels))})."
        f"{suggest(label, labels)}"
        for label in asked
        if label not in labels
    ]
    problems += [
        f"score.{kind}, {file['name']}: the label {file['label']} is not one of any track "
        f"(labels: {', '.join(sorted(labels))}).{suggest(file['label'], labels)}"
        for kind, files in scored(config)
        for file in files
        if file["label"] not in {None, *labels}
    ]
    if problems:
        raise mistakes(problems)


def check_split(split: Mapping[str, Any], chroms: list[str]) -> None:
    """The held-out chromosomes must be among those used, each on one side, and leave some for training.

    split: the config's ``split`` with ranges written out. chroms: ``genome.chroms``, likewise.
    """
    problems = [
        f"split.{part} names {chrom}, which genome.chroms does not.{suggest(chrom, chroms)}"
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
        raise mistakes(problems)


def _is_fasta(source: str) -> bool:
    return source.split("?")[0].lower().removesuffix(".gz").endswith((".fa", ".fasta", ".fna"))


def contradictions(config: Config) -> Iterator[tuple[Place, str]]:
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
            yield place, f"generate.runs names the model {model}, which models does not.{suggest(model, known)}"
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
                    f"{suggest(sampler, config['samplers'])}",
                )
        for sampler in repeated(samplers):
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
            for key, text in tile_problems(name, config):
                yield ("models", name, key), text
        if model["start_from"] is not None:
            yield from start_problems(name, config["models"])
        for key, text in backbone_problems(name, model):
            yield ("models", name, key), text
    for kind, files in scored(config):
        for name in repeated([file["name"] for file in files]):
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
        if sampler["remask"]["strategy"] is not None and sampler["order"] not in (None, "ancestral"):
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
                f"library.runs names {model}/{sampler}, which is no run.{suggest(f'{model}/{sampler}', made)}",
            )
    for model, samplers in (library["runs"] or {}).items():
        for sampler in repeated(samplers):
            yield ("library", "runs", model), f"library.runs.{model} names {sampler} twice. Remove one."
