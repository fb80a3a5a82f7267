"""Backbones: built from settings, or opened from a folder with nothing missing and nothing left over.

transformers is imported on first use: it is slow to import, and much that imports this module never builds a model.
"""

import json
import logging
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion_bert.errors import UserError
from diffusion_bert.tables import written_beside
from diffusion_bert.tokens import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)

WEIGHTS, SHARDS, PICKLE = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
# Weights that checkpoints of transformers' models hold beside those of the masked language model.
BESIDE = (r"(^|\.)pooler\.", r"^cls\.seq_relationship\.", r"(^|\.)position_ids$", r"(^|\.)contact_head\.")


def build_model(settings: Mapping[str, Any], tokenizer: Tokenizer, max_length: int) -> "PreTrainedModel":
    """A model with random weights (from torch's global generator), in training mode.

    settings: ``backbone`` (the architecture), ``architecture`` (its sizes) and ``dropout`` of a model's config entry.
    max_length: the longest window in tokens of DNA. Raises UserError for sizes that do not fit together.
    """
    backbone, architecture, dropout = settings["backbone"], settings["architecture"], settings["dropout"]
    if backbone == "convnet":
        from diffusion_bert.backbones.convnet import ConvnetConfig, ConvnetForMaskedLM

        for key in ("kernel", "stem_kernel"):
            if architecture[key] % 2 == 0:
                raise UserError(
                    f"architecture: {key} is {architecture[key]}, an odd number was expected.",
                    f"Use {architecture[key] + 1}: a base then sees as far to its left as to its right.",
                )
        _refuse_heads(architecture["width"], architecture["attention_heads"], 1)
        return ConvnetForMaskedLM(
            ConvnetConfig(
                vocab_size=tokenizer.vocab_size,
                pad_token_id=tokenizer.pad_id,
                positions=max_length,
                dropout=dropout,
                **architecture,
            )
        )
    if backbone == "bert":
        from diffusion_bert.backbones.bert import build_bert

        _refuse_heads(architecture["width"], architecture["heads"], 2)  # rotary positions turn pairs of channels
        return build_bert(architecture, dropout, tokenizer, max_length)
    sizes = {
        "vocab_size": tokenizer.vocab_size,
        "pad_token_id": tokenizer.pad_id,
        "hidden_size": architecture["width"],
        "num_hidden_layers": architecture["layers"],
        "num_attention_heads": architecture["heads"],
        "intermediate_size": architecture["expansion"] * architecture["width"],
        "hidden_dropout_prob": dropout,
        "max_position_embeddings": max_length + tokenizer.extra_tokens,
    }
    if backbone == "dnabert2":
        from diffusion_bert.backbones.dnabert2 import DnaBert2Config, DnaBert2ForMaskedLM

        _refuse_heads(architecture["width"], architecture["heads"], 1)
        return DnaBert2ForMaskedLM(DnaBert2Config(**sizes))
    if backbone == "nucleotide_transformer":
        from diffusion_bert.backbones.nucleotide_transformer import (
            NucleotideTransformerConfig,
            NucleotideTransformerForMaskedLM,
        )

        _refuse_heads(architecture["width"], architecture["heads"], 2)
        return NucleotideTransformerForMaskedLM(NucleotideTransformerConfig(**sizes))
    raise ValueError(f"no architecture is called {backbone!r}")


def _refuse_heads(width: int, heads: int, multiple: int) -> None:
    if width % (multiple * heads):
        raise UserError(
            f"architecture: width {width} does not divide into {heads} heads"
            + (" of an even width." if multiple == 2 else "."),
            f"Choose a width that is a multiple of {multiple * heads}.",
        )


def open_model(folder: str | Path, *, trust_remote_code: bool = False) -> "PreTrainedModel":
    """The masked language model of a folder, float32, in evaluation mode.

    DNABERT-2, Nucleotide Transformer v2 and the convnet are recognised by their config and weights and are this
    package's own code; any other is one that transformers' AutoModelForMaskedLM knows. Every parameter is accounted
    for: a weight that is missing, left over (but for those stated in BESIDE and by the model's class) or of another
    shape is an error. A pickle (``pytorch_model.bin``) is read as weights alone and written as safetensors, once,
    beside it.

    trust_remote_code: run the Python code in the folder where the architecture is not known otherwise.

    Raises UserError where the folder is not complete or cannot be read, or holds an unknown architecture.
    """
    folder = Path(folder)
    config = _read_config(folder)
    _ensure_safetensors(folder)
    cls, configured = _recognised(config, _shapes(folder))
    if cls is None:
        cls, configured = _known_to_transformers(folder, config, trust_remote_code)
    model, found = _opened(folder, cls, configured, trust_remote_code)
    leftover = {k for k in found["unexpected_keys"] if not any(re.search(pattern, k) for pattern in BESIDE)}
    missing = set(found["missing_keys"])
    if getattr(model.config, "classes", None):
        taken, absent = _add_saved_classifier(model, folder)
        leftover -= taken
        missing |= absent
    problems = [
        f"{what}: {', '.join(sorted(map(_key, keys)))}"
        for what, keys in (
            ("missing", missing),
            ("left over", leftover),
            ("of another shape", found["mismatched_keys"]),
            ("errors", found["error_msgs"]),
        )
        if keys
    ]
    if problems:
        raise UserError(
            f"{folder}: the weights do not fit config.json ({'; '.join(problems)}).",
            "Copy the whole folder again; if it is complete, it is another architecture than its config.json says.",
        )
    return model.eval()


def _key(entry: Any) -> str:
    """transformers names a mismatched key with both shapes."""
    return entry if isinstance(entry, str) else str(entry[0])


def _read_config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        config = None
    if not isinstance(config, dict):
        raise UserError(
            f"{file} is missing or is no model's configuration.",
            "Copy the whole model folder again, or train the model anew.",
        )
    return config


def _ensure_safetensors(folder: Path) -> None:
    """Write a pickle's tensors as safetensors where the folder holds nothing better."""
    import torch
    from safetensors.torch import save_file

    if (folder / WEIGHTS).is_file() or (folder / SHARDS).is_file():
        return
    file = folder / PICKLE
    if not file.is_file():
        raise UserError(
            f"{folder / WEIGHTS} is missing.", "Copy the whole model folder again, or train the model anew."
        )
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        tensors = {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}
    except (pickle.UnpicklingError, AttributeError, RuntimeError, EOFError) as error:
        raise UserError(
            f"{file}: it cannot be read as weights alone ({str(error).splitlines()[0]}).",
            "A pickle that holds more than weights can run code: get the model as safetensors.",
        ) from None
    try:
        with written_beside(folder / WEIGHTS) as part:
            save_file(tensors, part, metadata={"format": "pt"})
    except OSError as error:
        raise UserError(
            f"{folder / WEIGHTS} cannot be written ({error.strerror}): the folder holds only a pickle, which is "
            "converted once.",
            "Copy the folder to where you may write.",
        ) from None
    log.info("%s: converted to %s", file, WEIGHTS)


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each weight of the folder, from the headers of its files."""
    from safetensors import SafetensorError, safe_open

    files = [WEIGHTS]
    if not (folder / WEIGHTS).is_file():
        files = sorted(set(json.loads((folder / SHARDS).read_text())["weight_map"].values()))
    shapes: dict[str, tuple[int, ...]] = {}
    for name in files:
        try:
            with safe_open(folder / name, framework="pt") as opened:
                shapes |= {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{folder / name} cannot be opened: {error}.",
                "Copy the whole model folder again, or train the model anew.",
            ) from None
    return shapes


def _recognised(config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> tuple[Any, Any]:
    """(class, configuration) of a model that is this package's own code; (None, None) for any other.

    Published folders of DNABERT-2 and Nucleotide Transformer v2 name no ``model_type``, or another's.
    """
    from diffusion_bert.backbones.convnet import ConvnetConfig, ConvnetForMaskedLM
    from diffusion_bert.backbones.dnabert2 import DnaBert2Config, DnaBert2ForMaskedLM
    from diffusion_bert.backbones.nucleotide_transformer import (
        NucleotideTransformerConfig,
        NucleotideTransformerForMaskedLM,
    )

    kind = config.get("model_type")
    gated_esm = shapes.get("esm.encoder.layer.0.intermediate.dense.weight", (0,))[0] == 2 * config.get(
        "intermediate_size", -1
    )
    cls: Any = None
    if kind == ConvnetConfig.model_type:
        cls = ConvnetForMaskedLM
    elif kind == DnaBert2Config.model_type or "bert.encoder.layer.0.mlp.gated_layers.weight" in shapes:
        cls = DnaBert2ForMaskedLM
    elif kind == NucleotideTransformerConfig.model_type or gated_esm:
        cls = NucleotideTransformerForMaskedLM
    if cls is None:
        return None, None
    return cls, cls.config_class.from_dict({k: v for k, v in config.items() if k not in ("model_type", "auto_map")})


def _known_to_transformers(folder: Path, config: Mapping[str, Any], trust_remote_code: bool) -> tuple[Any, Any]:
    from transformers import CONFIG_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, AutoConfig, AutoModelForMaskedLM

    kind = config.get("model_type")
    if kind in CONFIG_MAPPING and CONFIG_MAPPING[kind] in MODEL_FOR_MASKED_LM_MAPPING:
        return AutoModelForMaskedLM, AutoConfig.from_pretrained(folder, local_files_only=True)
    if "auto_map" in config and trust_remote_code:
        log.warning("%s: its own Python code is run, as trust_remote_code says", folder)
        return AutoModelForMaskedLM, AutoConfig.from_pretrained(folder, trust_remote_code=True, local_files_only=True)
    if "auto_map" in config:
        raise UserError(
            f"{folder}: {kind or 'the model'} is no architecture that is known here; its folder names Python code "
            "of its own.",
            "Choose another backbone; or read that code, pin its revision and set trust_remote_code: true.",
        )
    raise UserError(
        f"{folder / 'config.json'}: model_type is {kind!r}, which is no masked language model that transformers knows.",
        "Choose DNABERT-2, a Nucleotide Transformer v2, or a model that AutoModelForMaskedLM opens.",
    )


def _opened(folder: Path, cls: Any, config: "PreTrainedConfig", trust_remote_code: bool) -> tuple[Any, dict]:
    import torch

    more = {"trust_remote_code": True} if trust_remote_code and hasattr(config, "auto_map") else {}
    try:
        with _quiet():
            return cls.from_pretrained(
                folder,
                config=config,
                output_loading_info=True,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # they are listed and refused, all at once
                **more,
            )
    except UserError:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{folder}: weights and configuration cannot be opened together: {reason}.",
            "Copy the whole model folder again, or train the model anew.",
        ) from error


def _add_saved_classifier(model: "PreTrainedModel", folder: Path) -> tuple[set[str], set[str]]:
    """Put the classification head of a folder on its model: (the keys that it took, those that are not there)."""
    from safetensors import safe_open

    from diffusion_bert.backbones.classifier import HEAD, add_classifier

    add_classifier(model, model.config.classes)
    wanted = {f"{HEAD}.{name}" for name in getattr(model, HEAD).state_dict()}
    with safe_open(folder / WEIGHTS, framework="pt") as opened:
        taken = wanted & set(opened.keys())
        head = {key.removeprefix(f"{HEAD}."): opened.get_tensor(key) for key in taken}
    getattr(model, HEAD).load_state_dict(head, strict=False)
    return taken, wanted - taken


def without_progress_bars() -> None:
    """transformers reads and writes a file or two here: no bar for each in the logs."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers says nothing inside the block: what it would warn of is an error afterwards."""
    from transformers.utils import logging as transformers_logging

    without_progress_bars()
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(transformers_logging.CRITICAL)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
