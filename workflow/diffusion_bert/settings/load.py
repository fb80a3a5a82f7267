"""The config: read, checked by the schema and across keys, and filled with defaults."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from diffusion_bert.errors import UserError
from diffusion_bert.presets import parameters_of, preset
from diffusion_bert.settings.backbones import ARCHITECTURES, MODELS
from diffusion_bert.settings.checks import contradictions
from diffusion_bert.settings.messages import Config, Place, at_line, dotted, explain, mistakes
from diffusion_bert.settings.models import given_problems

# Of models from scratch, measured on the data of config/human_tf and of config/config.yaml.
_OF_RECURRENT = {"learning_rate": 0.005, "weight_decay": 0.1}
_OF_OTHERS = {"learning_rate": 0.003, "weight_decay": 0.01}


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
                problems.append(f"{where}: {dotted(place)} is given twice. Rename or remove one of them.")
    plain = json.loads(json.dumps(config))  # Snakemake hands over ordered mappings
    validator = jsonschema.Draft202012Validator(rules)
    for error in sorted(validator.iter_errors(plain), key=lambda error: list(map(str, error.absolute_path))):
        problems += explain(error, lines)
    if problems:
        raise mistakes(problems)
    filled = _with_defaults(plain, rules)
    for model in filled["models"].values():
        if model["steps"] is not None or model["minutes"] is not None:
            model["epochs"] = None
        if model["start_from"] is not None:
            model["backbone"] = f"{MODELS}/{model['start_from']}"
    for name, model in filled["models"].items():
        first = _first(name, filled["models"])
        _follow_preset(model, plain["models"][name], first)
        for key, value in (_OF_RECURRENT if first["backbone"] == "recurrent" else _OF_OTHERS).items():
            if model[key] is None:
                model[key] = value
    tiles = filled["tiles"]
    tiles["width"] = tiles["width"] or filled["windows"]["width"]
    tiles["stride"] = tiles["stride"] or tiles["width"]
    told = [*contradictions(filled), *given_problems(filled["models"], plain.get("models", {}))]
    if told:
        raise mistakes([f"{at_line(place, lines)}{text}" for place, text in told])
    for model in filled["models"].values():
        if model["backbone"] not in ARCHITECTURES or model["start_from"] is not None:
            model["architecture"] = {}
    return filled


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


def _with_defaults(value: Any, rules: Mapping[str, Any]) -> Any:
    """The value with the schema's defaults at every level, new objects throughout."""
    branch = rules
    while "if" in branch:
        holds = jsonschema.Draft202012Validator(branch["if"]).is_valid(value)
        branch = branch["then" if holds else "else"]
    if branch is not rules:
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


def _first(name: str, models: Mapping[str, Config]) -> Config:
    """The model that the one of this name starts from, in the end."""
    first, passed = models[name], {name}
    while first["start_from"] in models and first["start_from"] not in passed:
        passed.add(first["start_from"])
        first = models[first["start_from"]]
    return first


def _follow_preset(model: Config, given: Config, first: Config) -> None:
    """Put what a model's preset says in the place of defaults, not of what is given; the preset itself goes.

    first: the model that it starts from, in the end, which says how large it is."""
    chosen = model.pop("preset")
    if chosen is None:
        return
    architecture = first["architecture"] if first["backbone"] in ARCHITECTURES else {}
    model.update(
        (key, value)
        for key, value in preset(chosen, parameters_of(first["backbone"], architecture)).items()
        if key not in given
    )
    if "gradient_accumulation" not in given:
        model["gradient_accumulation"] = min(model["gradient_accumulation"], model["batch_size"])
