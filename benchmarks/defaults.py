"""The settings of one model, or one sampler, with all defaults filled in, as a config's entry of it has them."""

from pathlib import Path
from typing import Any

from diffusion_bert.settings import load_config

SCHEMA = Path(__file__).resolve().parents[1] / "workflow" / "schemas" / "config.schema.json"


def model_settings(changes: dict[str, Any]) -> dict[str, Any]:
    """A model's, with these changes."""
    return _filled(models={"it": changes})["models"]["it"]


def sampler_settings(changes: dict[str, Any]) -> dict[str, Any]:
    """A sampler's, with these changes and without ``template``, as ``sampling.generate`` takes them."""
    filled = _filled(samplers={"it": changes})["samplers"]["it"]
    return {name: value for name, value in filled.items() if name != "template"}


def _filled(**entries: dict[str, Any]) -> dict[str, Any]:
    """A config that holds what one must, and these entries."""
    config = {
        "split": {"by": "fraction"},
        "sequences": {"files": [{"source": "windows.tsv"}]},
        "models": {"it": {}},
        "samplers": {"it": {}},
    }
    return load_config(config | entries, [], SCHEMA)
