"""Which models, samplers and sets make the runs."""

from typing import Any

from diffusion_bert.settings.messages import Config

# Stands as the sampler of sequences that were made elsewhere.
EXTERNAL = "external"


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


def scored(config: Config) -> list[tuple[str, list[dict[str, Any]]]]:
    """The files to score, by kind."""
    return [(kind, config["score"][kind]) for kind in ("fasta", "variants")] if "score" in config else []
