"""The user's config and track sheet: read, checked as a whole before any job runs, and filled with defaults.

Only the standard library, PyYAML and jsonschema are imported: the Snakefile calls this on each parse.
Every mistake found is told in one message, each with the key (and its file and line, where there is one) and a remedy.
"""

from diffusion_bert.settings.backbones import (
    ARCHITECTURES,
    backbone_folder,
    is_commit,
    is_hub_name,
    published_backbones,
)
from diffusion_bert.settings.checks import check_labels, check_split
from diffusion_bert.settings.load import load_config
from diffusion_bert.settings.runs import external_runs, labelled, library_runs, runs
from diffusion_bert.settings.sources import check_sources, is_remote, scorer_file
from diffusion_bert.settings.tracks import format_of, read_track_sheet

__all__ = [
    "ARCHITECTURES",
    "backbone_folder",
    "check_labels",
    "check_sources",
    "check_split",
    "external_runs",
    "format_of",
    "is_commit",
    "is_hub_name",
    "is_remote",
    "labelled",
    "library_runs",
    "load_config",
    "published_backbones",
    "read_track_sheet",
    "runs",
    "scorer_file",
]
