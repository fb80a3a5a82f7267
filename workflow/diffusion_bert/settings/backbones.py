"""Which backbones are built here and which are fetched, and from where."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusion_bert.settings.messages import Config

# What a model's backbone may be besides a published one: an architecture, trained from scratch.
ARCHITECTURES = ("recurrent", "convnet", "bert", "dnabert2", "nucleotide_transformer")
# Each trained model's folder is below this one.
MODELS = "results/models"
_HUB_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$")


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
