"""Backbones from a local stand-in for the Hugging Face hub (toy_hub)."""

import hashlib
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from toy_hub import IN_GIT, NAME, NEW, OLD, serving

from diffusion_bert.backbones.hub import fetch_backbone
from diffusion_bert.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = bytes(range(256)) * 4000  # more than one chunk
LOCAL = r".*give their folder as backbone"
SMALL = {
    "config.json": b'{"vocab_size": 9}',
    "tokenizer.json": b'{"model": {}}',
    "tokenizer_config.json": b"{}",
    "README.md": b"# Model",
    "modeling.py": b"raise SystemExit",
    "onnx/config.json": b"{}",
    "onnx/export.py": b"",
}
ONE_FILE = {**SMALL, "model.safetensors": WEIGHTS, "pytorch_model.bin": b"pickle" * 10, "tf_model.h5": b"tf"}
SHARD_NAMES = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
SHARDED = {
    **SMALL,
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": SHARD_NAMES[0], "b": SHARD_NAMES[1], "c": SHARD_NAMES[0]}}
    ).encode(),
    SHARD_NAMES[0]: WEIGHTS,
    SHARD_NAMES[1]: WEIGHTS[::-1],
    "pytorch_model.bin": b"pickle",
}
PICKLED = {**SMALL, "pytorch_model.bin": WEIGHTS}


@pytest.fixture
def hub(monkeypatch):
    with serving({OLD: ONE_FILE}, {"main": OLD, "refs/pr/1": OLD}) as handler:
        monkeypatch.setenv("HF_ENDPOINT", f"{handler.url}/")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield handler


def get(hub, folder, revision=OLD, **options):
    fetch_backbone(NAME, revision, folder, sleep=hub.waits.append, **options)


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def fetched(hub):
    """Names of the files that were sent from either host."""
    paths = [path for path, _ in hub.asked if "/api/" not in path]
    redirects = {path for path in paths if "/resolve/" in path and not path.endswith(IN_GIT)}
    return sorted(path.rpartition("/")[2] for path in paths if path not in redirects)


TEXT = ["config.json", "tokenizer.json", "tokenizer_config.json"]


@pytest.mark.parametrize(
    ("files", "weights"),
    [
        (ONE_FILE, ["model.safetensors"]),
        (SHARDED, ["model.safetensors.index.json", *SHARD_NAMES]),
        (PICKLED, ["pytorch_model.bin"]),
    ],
    ids=["one file", "shards", "pickle"],
)
def test_the_folder_holds_the_commits_files_and_says_which(tmp_path, hub, files, weights):
    hub.commits[OLD] = files
    get(hub, tmp_path / "new", revision="refs/pr/1")
    assert names(tmp_path / "new") == sorted([*TEXT, *weights, "source.json"])
    assert json.loads((tmp_path / "new/source.json").read_text()) == {
        "repository": NAME,
        "revision": "refs/pr/1",
        "commit": OLD,
        "code": False,
        "files": {
            name: {"size": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()}
            for name in [*TEXT, *weights]
        },
    }
    for name in [*TEXT, *weights]:
        assert (tmp_path / "new" / name).read_bytes() == files[name]
    assert hub.waits == []
    assert "/revision/refs%2Fpr%2F1?" in hub.asked[0][0]


def test_a_complete_folder_needs_no_network(tmp_path, hub, monkeypatch):
    get(hub, tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    hub.asked.clear()
    get(hub, tmp_path)
    assert hub.asked == []


def test_without_its_note_a_folder_is_checked_and_nothing_is_fetched_twice(tmp_path, hub):
    get(hub, tmp_path)
    note = (tmp_path / "source.json").read_bytes()
    (tmp_path / "source.json").unlink()
    hub.asked.clear()
    get(hub, tmp_path)
    assert fetched(hub) == []
    assert (tmp_path / "source.json").read_bytes() == note


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_was_damaged_here_is_fetched_again(tmp_path, hub, name):
    get(hub, tmp_path)
    body = ONE_FILE[name]
    for damaged in (body[:-1], bytes([body[0] ^ 1]) + body[1:], None):
        (tmp_path / name).unlink() if damaged is None else (tmp_path / name).write_bytes(damaged)
        hub.asked.clear()
        get(hub, tmp_path)
        assert fetched(hub) == [name]
        assert (tmp_path / name).read_bytes() == body


def test_a_mirror_that_tells_sizes_only(tmp_path, hub):
    """A file of the right size may then be another commit's, so small ones are fetched again."""
    hub.git_ids = False
    (tmp_path / "config.json").write_bytes(SMALL["config.json"].replace(b"9", b"8"))
    get(hub, tmp_path)
    assert (tmp_path / "config.json").read_bytes() == SMALL["config.json"]
    hub.faults["config.json"] = ["short"]
    (tmp_path / "source.json").unlink()
    with pytest.raises(UserError, match=r"config.json has 16 bytes, where 17 were expected"):
        get(hub, tmp_path)


def test_cut_and_busy_servers_are_asked_again_and_go_on_where_they_were_cut(tmp_path, hub):
    hub.faults |= {"main": [503], "model.safetensors": [None, "cut", None, 503], "config.json": [500]}
    get(hub, tmp_path, revision="main")
    assert (tmp_path / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [asked for path, asked in hub.asked if path.startswith("/large/")]
    assert ranges == [None, *[f"bytes={len(WEIGHTS) // 2}-"] * 2]
    assert hub.waits == [1, 1, 1, 2]


def test_an_interrupted_call_is_gone_on_with_by_the_next(tmp_path, hub):
    hub.faults["model.safetensors"] = [None, "cut", *[503] * 5]
    with pytest.raises(UserError, match=r"in 6 attempts.* 503 .*Check the network.*what arrived is kept" + LOCAL):
        get(hub, tmp_path)
    assert "source.json" not in names(tmp_path)
    hub.asked.clear()
    get(hub, tmp_path)
    assert fetched(hub) == ["model.safetensors"]
    assert hub.asked[-1][1] == f"bytes={len(WEIGHTS) // 2}-"
    assert names(tmp_path) == sorted([*TEXT, "model.safetensors", "source.json"])


@pytest.mark.parametrize(
    ("name", "digest"), [("model.safetensors", "sha256"), ("config.json", "git object id")], ids=["large", "small"]
)
def test_wrong_bytes_are_refused_and_removed(tmp_path, hub, name, digest):
    get(hub, tmp_path)
    (tmp_path / name).unlink()
    hub.faults[name] = [None, "wrong"] if digest == "sha256" else ["wrong"]
    with pytest.raises(UserError, match=rf"{name} has the {digest} .*damaged on its way.*Run again" + LOCAL):
        get(hub, tmp_path)
    assert name not in names(tmp_path)
    assert "source.json" not in names(tmp_path)


def test_python_files_only_where_asked_for(tmp_path, hub):
    get(hub, tmp_path)
    assert not [name for name in names(tmp_path) if name.endswith(".py")]
    get(hub, tmp_path, code=True)
    assert [name for name in names(tmp_path) if name.endswith(".py")] == ["modeling.py"]
    assert (tmp_path / "modeling.py").read_bytes() == SMALL["modeling.py"]
    hub.asked.clear()
    get(hub, tmp_path)
    assert hub.asked == []


def test_no_revision_is_the_newest_commit_with_the_advice_to_pin_it(tmp_path, hub, caplog):
    for folder in ("one", "one", "two"):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            get(hub, tmp_path / folder, revision=None)
        assert f"no revision was asked for, this is commit {OLD}" in caplog.text
        assert f"set revision: {OLD}" in caplog.text
    caplog.clear()
    get(hub, tmp_path / "three")
    assert "set revision" not in caplog.text


def test_another_commit_in_the_same_folder_leaves_nothing_of_the_first(tmp_path, hub):
    hub.commits[NEW] = {"config.json": b'{"vocab_size": 8}', "pytorch_model.bin": WEIGHTS, "model.py": b""}
    get(hub, tmp_path)
    (tmp_path / "own.py").write_text("of the user")
    get(hub, tmp_path, revision=NEW)
    assert names(tmp_path) == ["config.json", "own.py", "pytorch_model.bin", "source.json"]
    assert (tmp_path / "config.json").read_bytes() == b'{"vocab_size": 8}'
    # The pickle as it is converted when it is opened: kept, until the commit is another.
    (tmp_path / "model.safetensors").write_bytes(b"converted")
    get(hub, tmp_path, revision=NEW)
    assert "model.safetensors" in names(tmp_path)
    hub.commits[OLD] = SHARDED
    get(hub, tmp_path)
    assert names(tmp_path) == sorted([*TEXT, *SHARD_NAMES, "model.safetensors.index.json", "own.py", "source.json"])
    get(hub, tmp_path, revision=NEW)
    assert names(tmp_path) == ["config.json", "own.py", "pytorch_model.bin", "source.json"]


@pytest.mark.parametrize("codes", [True, False])
def test_a_missing_repository_with_a_hint(tmp_path, hub, codes):
    hub.codes = codes
    for name, hint in (
        ("zihan1996/DNABERT-2-117M", "Did you mean zhihan1996/DNABERT-2-117M?"),
        ("owner/absent", "Check the spelling"),
    ):
        with pytest.raises(UserError, match=rf"no repository {name} .*status 404.*HF_TOKEN" + LOCAL) as caught:
            fetch_backbone(name, None, tmp_path, sleep=hub.waits.append)
        assert caught.value.remedy.startswith(hint)
    assert hub.waits == []


def test_a_missing_revision(tmp_path, hub):
    with pytest.raises(UserError, match=r"owner/Model-1 at http.* has no revision 'v9'.*commits/main" + LOCAL):
        get(hub, tmp_path, revision="v9")
    hub.codes = False
    with pytest.raises(UserError, match=r"no repository owner/Model-1 with a revision v9 .*Check the spelling" + LOCAL):
        get(hub, tmp_path, revision="v9")
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_repository_opens_with_a_token_which_no_other_host_sees(tmp_path, hub, monkeypatch, status):
    hub.refusal = (status, "GatedRepo")
    with pytest.raises(UserError, match=rf"gated: no token is set \(status {status}\).*terms.*HF_TOKEN" + LOCAL):
        get(hub, tmp_path)
    monkeypatch.setenv("HF_TOKEN", "secret\n")
    get(hub, tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == WEIGHTS
    assert "secret" not in (tmp_path / "source.json").read_text()


def test_a_token_that_does_not_open_it_and_a_401_without_a_reason(tmp_path, hub, monkeypatch):
    hub.refusal = (401, None)
    with pytest.raises(UserError, match=r"no repository owner/Model-1 .*or it is private \(status 401\).*HF_TOKEN"):
        get(hub, tmp_path)
    hub.faults[OLD] = [403]
    monkeypatch.setenv("HF_TOKEN", "secret")
    with pytest.raises(UserError, match="the token in HF_TOKEN does not open it"):
        get(hub, tmp_path)


def test_an_expired_token_is_not_taken_for_a_missing_repository(tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "expired")
    with pytest.raises(UserError, match=r"does not know the token in HF_TOKEN \(status 401: Inv.*unset it" + LOCAL):
        get(hub, tmp_path)
    assert hub.waits == []


def test_a_refusal_of_another_kind_is_not_called_gated_and_gives_the_hubs_reason(tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    answer = hub.answer
    refused = {"X-Error-Message": "Enable access to gated repositories in your token's settings"}
    monkeypatch.setattr(hub, "answer", lambda self, *_: answer(self, 403, refused))
    with pytest.raises(UserError, match=r"is not given out: the token .*\(status 403: Enable access") as caught:
        get(hub, tmp_path)
    assert "gated:" not in caught.value.problem


def test_the_token_is_sent_whatever_netrc_says(tmp_path, hub, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub.commits[OLD] = {name: body for name, body in ONE_FILE.items() if name in SMALL}
    with pytest.raises(UserError, match="has no weights"):
        get(hub, tmp_path / "out")


def test_no_network(tmp_path, hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"could not be fetched in 6 attempts.*Check the network" + LOCAL):
        get(hub, tmp_path / "out")
    assert hub.waits == [1, 2, 4, 8, 16]
    assert names(tmp_path / "out") == []
    monkeypatch.setenv("HF_ENDPOINT", "mirror.example")
    with pytest.raises(UserError, match="HF_ENDPOINT is 'mirror.example', no address"):
        get(hub, tmp_path / "out")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"README.md": b"#", "model.safetensors": b"w"}, f"commit {OLD} has no config.json.*holds: README.md, model"),
        ({"config.json": b"{}", "tf_model.h5": b"w"}, f"commit {OLD} has no weights .*holds: config.json, tf_model"),
        (
            {"config.json": b"{}", "model.safetensors.index.json": b'{"weight_map": {"a": "../b"}}'},
            r"index.json names \.\./b, not in the repository",
        ),
        ({"config.json": b"{}", "model.safetensors.index.json": b"[]"}, "index.json names no files"),
    ],
    ids=["no config", "no weights", "shards elsewhere", "no index"],
)
def test_a_repository_that_holds_no_model(tmp_path, hub, files, message):
    hub.commits[OLD] = files
    with pytest.raises(UserError, match=message) as caught:
        get(hub, tmp_path)
    assert "folder as backbone" in caught.value.remedy
    assert "source.json" not in names(tmp_path)


def test_an_answer_that_is_no_listing(tmp_path, hub, monkeypatch):
    monkeypatch.setattr(hub, "listing", lambda *_: b'{"error": "maintenance"}')
    with pytest.raises(UserError, match="did not answer with a listing.*Check HF_ENDPOINT"):
        get(hub, tmp_path)


def test_the_module_is_light():
    """The env that downloads has requests, and neither torch nor transformers nor the hub's own client."""
    heavy = ("torch", "transformers", "huggingface_hub", "numpy", "pandas")
    code = f"import sys, diffusion_bert.backbones.hub; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "workflow", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
