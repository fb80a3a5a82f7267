"""What the keys of a model allow by themselves, but not together."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from diffusion_bert.settings.backbones import ARCHITECTURES, is_commit, is_hub_name
from diffusion_bert.settings.messages import Config, Place, suggest

_OF_BASES = ("convnet", "recurrent")  # architectures that read single bases
# What a model has of the one that it starts from.
_BROUGHT = ("backbone", "revision", "trust_remote_code", "reinit", "tokenizer", "architecture")


def given_problems(models: Mapping[str, Config], given: Mapping[str, Config]) -> Iterator[tuple[Place, str]]:
    """What a model cannot be given beside what else it is given; models: filled with defaults, given: as they were."""
    for name, model in models.items():
        key = f"models.{name}"
        budget = [one for one in ("steps", "epochs", "minutes") if given[name].get(one) is not None]
        if len(budget) > 1:
            yield (
                ("models", name, budget[-1]),
                f"{key} gives {' and '.join(budget)}: one of them says how long to train. Keep one.",
            )
        if model["start_from"] is not None:
            for brought in _BROUGHT:
                if brought in given[name]:
                    yield (
                        ("models", name, brought),
                        f"{key}.{brought} is given, but the model starts from {model['start_from']}, which brings its "
                        f"own. Remove {brought} or start_from.",
                    )
        elif model["backbone"] == "recurrent":
            yield from _recurrent_problems(name, given[name])
        elif model["backbone"] in ARCHITECTURES and model["masking"]["left_to_right"]:
            yield (
                ("models", name, "masking", "left_to_right"),
                f"{key}.masking.left_to_right is given, but the {model['backbone']} backbone sees what it predicts: it "
                "learns from masks alone. Remove left_to_right, or set backbone: recurrent.",
            )
        elif model["backbone"] not in ARCHITECTURES and "architecture" in given[name]:
            yield (
                ("models", name, "architecture"),
                f"{key}.architecture is given, but the backbone {model['backbone']} has its sizes. "
                f"Remove architecture, or choose one of {', '.join(ARCHITECTURES)}.{_architecture(model['backbone'])}",
            )


def _recurrent_problems(name: str, given: Config) -> Iterator[tuple[Place, str]]:
    key = f"models.{name}"
    if "weighting" in given:
        yield (
            ("models", name, "weighting"),
            f"{key}.weighting is given, but the recurrent backbone learns from every base, and all weigh the same: "
            "that is the exact bound. Remove weighting.",
        )
    if given.get("masking", {}).get("kind", "token") != "token":
        yield (
            ("models", name, "masking", "kind"),
            f"{key}.masking.kind is {given['masking']['kind']}, but the recurrent backbone predicts each base as if it "
            "alone were masked beside the others. Remove kind, or choose another backbone.",
        )


def start_problems(name: str, models: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Why a model cannot start from the one that it names: there is none, or that one starts, in the end, from it."""
    place, other = ("models", name, "start_from"), models[name]["start_from"]
    if other not in models:
        known = [known for known in models if known != name]
        yield place, f"models.{name}.start_from names {other}, which models does not.{suggest(other, known)}"
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


def tile_problems(name: str, config: Config) -> Iterator[tuple[str, str]]:
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


def backbone_problems(name: str, model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
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
    if backbone in _OF_BASES and model["gradient_checkpointing"]:
        yield (
            "gradient_checkpointing",
            f"{key}.gradient_checkpointing is set, but the {backbone} backbone does not support it. "
            "Remove it, and raise gradient_accumulation where memory is short.",
        )
    if model["start_from"] is not None:
        return
    if backbone in ARCHITECTURES:
        kind = (model["tokenizer"] or {"kind": "bases"})["kind"]
        if backbone in _OF_BASES and kind != "bases":
            yield (
                "tokenizer",
                f"{key}.tokenizer.kind is {kind}, but the {backbone} backbone reads single bases. "
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
