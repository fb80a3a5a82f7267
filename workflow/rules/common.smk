import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Snakemake hands sys.path on to every script, so this is how each of them finds the library, in any env and folder.
WORKFLOW = Path(str(workflow.current_basedir)).resolve().parent
sys.path.insert(0, str(WORKFLOW))

from diffusion_bert.digests import code_digest, recall, remember
from diffusion_bert.errors import UserError
from diffusion_bert.genome.names import expand_chroms
from diffusion_bert.settings import (
    ARCHITECTURES,
    backbone_folder,
    check_labels,
    check_sources,
    check_split,
    external_runs,
    is_hub_name,
    is_remote,
    labelled,
    library_runs,
    load_config,
    published_backbones,
    read_track_sheet,
    runs,
    scorer_file,
)

# Files below this folder are made by simulate_data, not brought by the user.
SIMULATION = "resources/simulation/"
MODEL_FILES = [
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "diffusion.json",
]

try:
    config = load_config(config, workflow.configfiles, WORKFLOW / "schemas" / "config.schema.json")
    TRACKS = {
        track["name"]: track
        for track in (
            read_track_sheet(config["tracks"], WORKFLOW / "schemas" / "tracks.schema.json")
            if "tracks" in config
            else []
        )
    }
    GENOME = config.get("genome")
    CHROMS = expand_chroms(GENOME["chroms"]) if GENOME else []
    # Numbered, since two folders may hold files of one name; the name stays, for the format that it tells.
    SEQUENCES = {
        f"{number}.{Path(file['source'].split('?')[0]).name}": file
        for number, file in enumerate(config.get("sequences", {}).get("files", []))
    }
    SPLIT = {
        **config["split"],
        "validation": expand_chroms(config["split"]["validation"]),
        "test": expand_chroms(config["split"]["test"]),
    }
    if GENOME and SPLIT["by"] == "chromosome":
        check_split(SPLIT, CHROMS)
    GENERATED = runs(config)
    RUNS = GENERATED + external_runs(config)
    EXTERNAL = config["external"]
    PREDICTORS = config["evaluation"]["predictors"]
    LABELLED = labelled(config)
    BACKBONES = published_backbones(config)
    if TRACKS:
        check_labels(config, {track["label"] for track in TRACKS.values()})
    check_sources(
        {
            **{f"{config['tracks']}, track {name}": track["source"] for name, track in TRACKS.items()},
            **{f"genome.{key}": GENOME[key] for key in ("source", "blacklist", "aliases") if GENOME},
            **{f"sequences.files, {name}": file["source"] for name, file in SEQUENCES.items()},
            **{f"external.{name}.source": entry["source"] for name, entry in config["external"].items()},
            **{f"samplers.{name}.template": sampler["template"] for name, sampler in config["samplers"].items()},
            "evaluation.motifs.file": config["evaluation"]["motifs"]["file"],
            **{
                f"evaluation.predictors.{name}.{key}": entry[key]
                for name, entry in config["evaluation"]["predictors"].items()
                for key in ("scores", "conda")
            },
        },
        made=SIMULATION,
    )
except UserError as error:
    raise WorkflowError(str(error))


# What parsing told of the code, for the next run here.
CODE_MEMORY = ".snakemake/code.json"
recall(CODE_MEMORY)


wildcard_constraints:
    chrom="|".join(map(re.escape, CHROMS)) or "none",
    track="|".join(map(re.escape, TRACKS)) or "none",
    file="|".join(map(re.escape, SEQUENCES)) or "none",
    backbone="|".join(map(re.escape, BACKBONES)) or "none",
    model="|".join(map(re.escape, [*config["models"], *EXTERNAL])),
    sampler="|".join(map(re.escape, [*config["samplers"], "external"])),
    external="|".join(map(re.escape, EXTERNAL)) or "none",
    predictor="|".join(map(re.escape, PREDICTORS)) or "none",


def code(rule):
    """What the rule's result owes to the code: a change in any module its script imports re-runs the rule."""
    return code_digest(WORKFLOW / "scripts" / f"{rule}.py", WORKFLOW)


def library_files(wildcards):
    """What the target library makes; a config without the key is told of it only where the target is asked for."""
    if "library" not in config:
        raise WorkflowError("The target library needs the key library in the config. Give it, {} at least.")
    return [f"results/library/{name}" for name in ("oligos.tsv", "oligos.fasta", "account.tsv", "library.svg")]


def local(source):
    """A source that is a file here (or is simulated), as a rule's input; nothing for a remote one."""
    return [] if source is None or is_remote(source) else [source]


def remote(source):
    """A source that is to be fetched, as a rule's param; nothing for a file here, which is the rule's input."""
    return source if is_remote(source) else None


def predictor_files(wildcards):
    """The file of a predictor's function, where it lies in the working folder."""
    entry = PREDICTORS[wildcards.predictor]["entry_point"]
    file = None if entry is None else scorer_file(entry)
    return [] if file is None else [file]


def windows_files(kind):
    """The tables (``parquet``) or funnels (``funnel.tsv``) of all extraction jobs, in genome order."""
    return [f"results/windows/{part}.{kind}" for part in CHROMS or ["sequences"]]


def training_data(model, part):
    """The table that a model learns from or is validated on; ``part`` is train or validation."""
    folder = {"windows": "splits", "tiles": "tiles"}[config["models"][model]["data"]]
    return f"results/{folder}/{part}.parquet"


# Name, source as the user gave it, and the file here, of all that the data come from.
SOURCES = [
    *([("genome", GENOME["source"], "resources/genome/source")] if GENOME else []),
    *((f"track {name}", track["source"], f"resources/tracks/{name}") for name, track in TRACKS.items()),
    *((f"sequences {name}", entry["source"], f"resources/sequences/{name}") for name, entry in SEQUENCES.items()),
]


def per_run(*patterns):
    """Each pattern's file for each (model, sampler) pair that is evaluated, run by run."""
    return [pattern.format(model=model, sampler=sampler) for model, sampler in RUNS for pattern in patterns]


def model_folder(model):
    """The files of a trained model, which together can be given to other people."""
    return [f"results/models/{model}/{name}" for name in MODEL_FILES]


def guide_files(wildcards):
    """The guide, where a sampler is steered by it. The judge is handed to nothing that it judges."""
    guide = config["samplers"][wildcards.sampler]["guide"]
    asked = guide["method"] is not None and guide["scorer"] == "oracle"
    return [f"results/oracles/guide/{name}" for name in ("oracle.json", "model.safetensors")] if asked else []


def scorer_files(wildcards):
    """The file of a scorer's function, where a sampler is steered by one and it lies in the working folder."""
    guide = config["samplers"][wildcards.sampler]["guide"]
    file = scorer_file(guide["scorer"]) if guide["method"] is not None else None
    return [] if file is None else [file]


def backbone_of(model):
    """The folder of the published backbone that a model starts from; nothing for one from scratch."""
    if model["backbone"] in ARCHITECTURES:
        return None
    if is_hub_name(model["backbone"]):
        return f"resources/backbones/{backbone_folder(model)}"
    return model["backbone"]


def backbone_files(model):
    """What a model's training needs of its backbone: the files of the model of the config that it starts from, the
    fetched folder's last file, or the files of a folder here."""
    folder = backbone_of(model)
    if model["start_from"] is not None:
        return model_folder(model["start_from"])
    if folder is None:
        return []
    if is_hub_name(model["backbone"]):
        return [f"{folder}/source.json"]
    kinds = (".json", ".safetensors", ".bin", ".txt")
    return sorted(str(file) for file in Path(folder).iterdir() if file.suffix in kinds)
