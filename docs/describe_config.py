"""Write config/README.md from the schema, so that it can say nothing else than the checks do.

python docs/describe_config.py
"""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INTRODUCTION = """# Configuration

<!-- Written by docs/describe_config.py from workflow/schemas/. -->

`config.yaml` here is the embedded example. Your own is a copy of it, in `config/config.yaml` of the folder you work in,
or any file given by `--configfile`; either way it is the whole configuration. Keys that are not given have the defaults
below; a key that is not listed is an error. Editors that know the YAML language server complete and check keys as you
type, from the first line of each file.

The data are given in one of two ways: `genome` and `tracks`, or `sequences`. Paths are taken from the working folder.
Lengths and positions are in bp, 0-based half-open. Chromosome ranges such as `1-22`, `chr1-22` or `chrI-XVI` include
both ends.

Threads, memory, run times and output folders are not configuration: they stand in the rules and in `profiles/`.
"""


def describe() -> str:
    """The whole page."""
    schemas = ROOT / "workflow" / "schemas"
    config = json.loads((schemas / "config.schema.json").read_text())
    parts = [INTRODUCTION]
    for name, rule in config["properties"].items():
        parts.append(f"## `{name}`\n\n{rule['description']}\n")
        rows = list(_rows(rule, name)) if rule.get("type") == "object" else [_row(name, rule)]
        parts.append(_table(rows))
    sheet = json.loads((schemas / "tracks.schema.json").read_text())
    parts.append("## The track sheet\n\nTab-separated, one line a track, with a header.\n")
    rows = [_row(name, rule, required=name in sheet["required"]) for name, rule in sheet["properties"].items()]
    parts.append(_table(rows))
    return "\n".join(parts)


def _table(rows: list[str]) -> str:
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows]) + "\n"


def _rows(rule: dict, path: str):
    for name, inner in rule.get("properties", {}).items():
        yield from _entry(f"{path}.{name}", inner, name in rule.get("required", []))
        if name == "architecture":
            branches = {"recurrent": rule["else"]["else"], "convnet": rule["else"]["then"], "bert": rule["then"]}
            for backbone, branch in branches.items():
                for size, of in branch["properties"]["architecture"]["properties"].items():
                    yield _row(f"{path}.architecture.{size} ({backbone})", of)
    other = rule.get("additionalProperties")
    if isinstance(other, dict):
        yield from _entry(f"{path}.NAME", other, False)


def _entry(path: str, rule: dict, required: bool):
    if rule.get("type") == "object" and ("properties" in rule or isinstance(rule.get("additionalProperties"), dict)):
        yield from _rows(rule, path)
    elif rule.get("type") == ["object", "null"] and "properties" in rule:
        yield _row(path, rule, required)
        yield from _rows(rule, path)
    elif rule.get("type") == "array" and rule.get("items", {}).get("properties"):
        yield _row(path, rule, required)
        yield from _rows(rule["items"], f"{path}[]")
    elif not path.endswith(".architecture"):  # its keys follow, by backbone
        yield _row(path, rule, required)


def _row(path: str, rule: dict, required: bool = False) -> str:
    default = "needed" if required else f"`{json.dumps(rule['default'])}`" if "default" in rule else ""
    choices = f" One of {', '.join(f'`{value}`' for value in rule['enum'] if value)}." if "enum" in rule else ""
    return f"| `{path}` | {default} | {rule['description']}{choices} |"


if __name__ == "__main__":
    (ROOT / "config" / "README.md").write_text(describe())
