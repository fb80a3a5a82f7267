"""Published backbones by name: fetched once into the user's cache folder, then opened."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_bert.backbones.hub import fetch_backbone
from diffusion_bert.backbones.load import open_model
from diffusion_bert.errors import UserError
from diffusion_bert.settings import backbone_folder, is_commit, is_hub_name

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_masked_lm(
    source: str | Path, revision: str | None = None, *, trust_remote_code: bool = False
) -> "PreTrainedModel":
    """The masked language model of a local folder or of a Hugging Face repository (owner/name), in evaluation mode.

    revision: commit, tag or branch of the repository; None is the newest. trust_remote_code: run the Python code that
    comes with a model, where it is none of this package's own; a repository then needs a commit as revision.
    What is fetched is kept below ``$XDG_CACHE_HOME/diffusion_bert/backbones`` (``~/.cache`` where that is not set).
    Raises UserError where the source is neither, cannot be fetched, or ``open_model`` refuses it.
    """
    if Path(source).is_dir():
        return open_model(source, trust_remote_code=trust_remote_code)
    if not is_hub_name(str(source)):
        raise UserError(
            f"{source}: there is no such folder, and it is no name on Hugging Face (owner/name).",
            "Correct the path or the name.",
        )
    if trust_remote_code and not is_commit(revision):
        raise UserError(
            f"trust_remote_code runs code from {source}, which may change at any time.",
            "Give as revision the commit that you have read.",
        )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "diffusion_bert" / "backbones"
    wanted = {"backbone": str(source), "revision": revision, "trust_remote_code": trust_remote_code}
    folder = cache / backbone_folder(wanted)
    fetch_backbone(str(source), revision, folder, code=trust_remote_code)
    return open_model(folder, trust_remote_code=trust_remote_code)
