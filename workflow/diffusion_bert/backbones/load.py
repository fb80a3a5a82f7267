"""Backbones: built from settings, or opened from a folder with nothing missing and nothing left over.

transformers is imported on first use: it is slow to import, and much that imports this module never builds a model.
"""

import json
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion_bert.errors import UserError
from diffusion_bert.tokens import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)

WEIGHTS, SHARDS, PICKLE = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
# Weights that checkpoints of transformers' models hold beside those of the masked language model.
BESIDE = (r"(^|\.)pooler\.", r"^cls\.seq_relationship\.", r"(^|\.)position_ids$", r"(^|\.)contact_head\.")
_AGAIN = "Copy the whole model folder again, or train the model anew."


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
    if backbone == "recurrent":
        from diffusion_bert.backbones.recurrent import RecurrentConfig, RecurrentForMaskedLM

        return RecurrentForMaskedLM(
            RecurrentConfig(
                vocab_size=tokenizer.vocab_size,
                pad_token_id=tokenizer.pad_id,
                mask_token_id=tokenizer.mask_id,
                complement=(tokenizer.encode(["ACGT"])[0].tolist(), tokenizer.encode(["TGCA"])[0].tolist()),
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

    DNABERT-2, Nucleotide Transformer v2, the convnet and the recurrent model are recognised by their config and weights
    and are this package's own code; any other is one that transformers' AutoModelForMaskedLM knows. Every parameter is
    accounted for: a weight that is missing, left over (but for those stated in BESIDE and by the model's class) or of
    another shape is an error, and so are two that differ where the model has one. A pickle (``pytorch_model.bin``) is
    read as weights alone and written as safetensors, once, beside it, or each time elsewhere where it may not be
    written.

    trust_remote_code: run the Python code that config.json names, where the model is none of this package's own.

    Raises UserError where the folder is not complete or cannot be read, or holds an unknown architecture.
    """
    folder = Path(folder)
    config = _read_config(folder)
    with _safetensors(folder) as readable, _explained(folder):
        shapes = _shapes(readable)
        cls, configured = _recognised(config, shapes)
        code = cls is None and trust_remote_code and "auto_map" in config
        if cls is None:
            cls, configured = _known_to_transformers(folder, config, code)
        ties = getattr(cls, "_tied_weights_keys", None) or {}
        unlike = {
            copy for copy, kept in ties.items() if copy in shapes and shapes[copy] != shapes.get(kept, shapes[copy])
        }
        if unlike:
            raise _misfit(folder, {"of another shape": unlike})
        model, found = _opened(readable, cls, configured, code)
        misfits = {
            "missing": set(found["missing_keys"]),
            "left over": {k for k in found["unexpected_keys"] if not any(re.search(known, k) for known in BESIDE)},
            "of another shape": {_key(entry) for entry in found["mismatched_keys"]},
            # transformers would take both, and one for the other as soon as tokens are added.
            "not the same, where the model has one": {
                f"{copy} and {kept}"
                for copy, kept in model.get_expanded_tied_weights_keys(all_submodels=True).items()
                if model.get_parameter(copy) is not model.get_parameter(kept)
            },
            "errors": set(found["error_msgs"]),
        }
        if getattr(model.config, "classes", None):
            _add_saved_classifier(model, readable, shapes, misfits)
    if any(misfits.values()):
        raise _misfit(folder, misfits)
    return model.eval()


def _misfit(folder: Path, misfits: Mapping[str, set[str]]) -> UserError:
    listed = "; ".join(f"{what}: {', '.join(sorted(keys))}" for what, keys in misfits.items() if keys)
    return UserError(
        f"{folder}: the weights do not fit config.json ({listed}).",
        "Copy the whole folder again; if it is complete, it is another architecture than its config.json says.",
    )


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
            _AGAIN,
        )
    return config


@contextmanager
def _safetensors(folder: Path) -> Iterator[Path]:
    """A folder of the same files whose weights are safetensors: this one, after its pickle has been converted; where
    nothing can be written to it, another one that lasts as long as the block.
    """
    from safetensors import SafetensorError

    if (folder / WEIGHTS).is_file() or (folder / SHARDS).is_file():
        yield folder
        return
    tensors = _unpickled(folder / PICKLE)
    try:
        _write(tensors, folder)
    except (OSError, SafetensorError) as error:
        log.info("%s: it is converted each time it is opened, as it cannot be written to (%s)", folder, error)
    else:
        log.info("%s: converted to %s", folder / PICKLE, WEIGHTS)
        yield folder
        return
    with tempfile.TemporaryDirectory() as name:
        for file in folder.iterdir():
            (Path(name) / file.name).symlink_to(file.resolve())
        _write(tensors, Path(name))
        del tensors
        yield Path(name)


def _unpickled(file: Path) -> "dict[str, Tensor]":
    """The tensors of a pickle, each with memory of its own: safetensors has no shared ones."""
    import torch

    if not file.is_file():
        raise UserError(f"{file.with_name(WEIGHTS)} is missing.", _AGAIN)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises is of any kind
        # torch's own words advise to read it with weights_only=False.
        run = re.search(r"GLOBAL (\S+)", str(error))
        raise UserError(
            f"{file}: it cannot be read as weights alone ("
            + (f"it names code: {run[1]}" if run else "it is cut short, damaged, or no checkpoint of PyTorch's")
            + ").",
            "A pickle that holds more than weights can run code: get the model as safetensors."
            if run
            else "Copy the file again, or get the model as safetensors.",
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise UserError(
            f"{file}: it cannot be read as weights alone (tensors by name were expected, and it holds something else).",
            "Save the model's state_dict alone, or get the model as safetensors.",
        )
    return {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}


def _write(tensors: "Mapping[str, Tensor]", folder: Path) -> None:
    """Write the weights of a folder, in one piece, also where another process writes them at the same time."""
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory(prefix=".converting-", dir=folder) as name:
        part = Path(name) / WEIGHTS
        save_file(dict(tensors), part, metadata={"format": "pt"})
        part.replace(folder / WEIGHTS)


def _files(folder: Path) -> list[Path]:
    """The files of the folder's weights."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / SHARDS
    try:
        return [folder / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{index} does not say which files hold the weights.", _AGAIN) from None


def _shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each weight of the folder, from the headers of its files."""
    from safetensors import SafetensorError, safe_open

    shapes: dict[str, tuple[int, ...]] = {}
    for file in _files(folder):
        try:
            with safe_open(file, framework="pt") as opened:
                shapes |= {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise UserError(f"{file} cannot be opened: {error}.", _AGAIN) from None
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
    from diffusion_bert.backbones.recurrent import RecurrentConfig, RecurrentForMaskedLM

    kind = config.get("model_type")
    gated_esm = shapes.get("esm.encoder.layer.0.intermediate.dense.weight", (0,))[0] == 2 * config.get(
        "intermediate_size", -1
    )
    cls: Any = None
    if kind == ConvnetConfig.model_type:
        cls = ConvnetForMaskedLM
    elif kind == RecurrentConfig.model_type:
        cls = RecurrentForMaskedLM
    elif kind == DnaBert2Config.model_type or "bert.encoder.layer.0.mlp.gated_layers.weight" in shapes:
        cls = DnaBert2ForMaskedLM
    elif kind == NucleotideTransformerConfig.model_type or gated_esm:
        cls = NucleotideTransformerForMaskedLM
    if cls is None:
        return None, None
    return cls, cls.config_class.from_dict({k: v for k, v in config.items() if k not in ("model_type", "auto_map")})


def _known_to_transformers(folder: Path, config: Mapping[str, Any], code: bool) -> tuple[Any, Any]:
    """(class, configuration). code: the folder's own Python code is wanted, whatever transformers knows."""
    from transformers import CONFIG_MAPPING, MODEL_FOR_MASKED_LM_MAPPING, AutoConfig, AutoModelForMaskedLM

    kind = config.get("model_type")
    if code:
        log.warning("%s: its own Python code is run, as trust_remote_code says", folder)
    elif kind not in CONFIG_MAPPING or CONFIG_MAPPING[kind] not in MODEL_FOR_MASKED_LM_MAPPING:
        if "auto_map" in config:
            raise UserError(
                f"{folder}: {kind or 'the model'} is no architecture that is known here; its folder names Python code "
                "of its own.",
                "Choose another backbone; or read that code, pin its revision and set trust_remote_code: true.",
            )
        raise UserError(
            f"{folder / 'config.json'}: model_type is {kind!r}, which is no masked language model that transformers "
            "knows.",
            "Choose DNABERT-2, a Nucleotide Transformer v2, or a model that AutoModelForMaskedLM opens.",
        )
    return AutoModelForMaskedLM, AutoConfig.from_pretrained(folder, trust_remote_code=code, local_files_only=True)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """transformers raises errors of many kinds for a config.json and weights that it cannot open."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"{folder}: weights and configuration cannot be opened together: {reason}.", _AGAIN) from error


def _opened(folder: Path, cls: Any, config: "PreTrainedConfig", code: bool) -> tuple[Any, dict]:
    import torch

    # AutoModelForMaskedLM alone knows the word; a model's own class would keep it in its configuration.
    more = {"trust_remote_code": True} if code else {}
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


def _add_saved_classifier(
    model: "PreTrainedModel", folder: Path, shapes: Mapping[str, tuple[int, ...]], misfits: dict[str, set[str]]
) -> None:
    """Put the classification head of a folder on its model, and its keys among the misfits or out of them."""
    from safetensors import safe_open

    from diffusion_bert.backbones.classifier import HEAD, add_classifier

    add_classifier(model, model.config.classes)
    head = getattr(model, HEAD)
    wanted = {f"{HEAD}.{name}": tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    fitting = {key for key, shape in wanted.items() if shapes.get(key) == shape}
    misfits["left over"] -= wanted.keys()
    misfits["missing"] |= wanted.keys() - shapes.keys()
    misfits["of another shape"] |= (wanted.keys() & shapes.keys()) - fitting
    for file in _files(folder):
        with safe_open(file, framework="pt") as opened:
            kept = {key.removeprefix(f"{HEAD}."): opened.get_tensor(key) for key in fitting & set(opened.keys())}
        head.load_state_dict(kept, strict=False)


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
