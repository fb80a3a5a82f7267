"""Documents and code say the same."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from diffusion_bert.settings import load_config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(ROOT.glob("config/**/*.yaml"))


def test_every_key_is_documented():
    spec = importlib.util.spec_from_file_location("describe_config", ROOT / "docs/describe_config.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (ROOT / "config/README.md").read_text()
    assert page == module.describe(), "run: python docs/describe_config.py"
    assert "`models.NAME.learning_rate`" in page
    assert "`samplers.NAME.refine.threshold`" in page


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_every_config_is_valid_and_points_editors_at_the_schema(path):
    load_config(yaml.safe_load(path.read_text()), [path], ROOT / "workflow/schemas/config.schema.json")
    first = path.read_text().splitlines()[0]
    schema = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)[1]
    assert (path.parent / schema).resolve() == ROOT / "workflow/schemas/config.schema.json"


def test_links_between_documents_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("config/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith(("http", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_rules_scripts_and_logs_have_one_name():
    for rules in (ROOT / "workflow/rules").glob("*.smk"):
        for block in re.split(r"\n\s*rule ", rules.read_text())[1:]:
            name = block.split(":")[0]
            script = re.search(r'"\.\./scripts/(\w+)\.py"', block)
            if script:
                assert script[1] == name
                assert f"logs/{name}" in block
                assert f'code("{name}")' in block
