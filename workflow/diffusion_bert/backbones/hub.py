"""A published checkpoint from the Hugging Face hub, as a folder of its files: one commit, resumed, verified.

Two addresses of the hub are used, those of its HTTP API (https://huggingface.co/docs/hub/api): the listing of a
repository at a revision (commit, and of each file the size with the SHA-256 of a large one, stored by Git LFS, or the
git object id of a small one), and the files themselves. ``HF_ENDPOINT`` names a mirror, ``HF_TOKEN`` opens gated ones.
"""

import difflib
import hashlib
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from diffusion_bert.downloads import FetchError, fetch
from diffusion_bert.errors import UserError

log = logging.getLogger(__name__)

SOURCE = "source.json"
CONFIG = "config.json"
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
)
WEIGHTS = "model.safetensors"
SHARDS = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_LOCAL = "Or get the repository's files elsewhere and give their folder as backbone."
# Names that may have been meant.
_KNOWN = (
    "zhihan1996/DNABERT-2-117M",
    *(f"InstaDeepAI/nucleotide-transformer-v2-{size}-multi-species" for size in ("50m", "100m", "250m", "500m")),
)


@dataclass(frozen=True)
class _Listed:
    """A file as the hub tells of it; None is what it does not tell. git: SHA-1 of the file as a git object."""

    size: int | None
    sha256: str | None
    git: str | None

    def difference(self, path: Path) -> str | None:
        """What is wrong with the file here; None where nothing is."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"has {size:,} bytes, where {self.size:,} were expected"
        for name, expected, digest in (("sha256", self.sha256, _sha256), ("git object id", self.git, _git_id)):
            if expected and expected != (found := digest(path)):
                return f"has the {name} {found}, where {expected} was expected"
        return None


def fetch_backbone(
    source: str,
    revision: str | None,
    folder: Path,
    *,
    code: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Put configuration, tokenizer and weights of a repository (owner/name) into the folder.

    revision: commit, tag or branch; None is the newest commit of ``main``, which is told in the log. code: the Python
    files of the repository's root too. sleep: how to wait between attempts.

    Weights are ``model.safetensors``, else the shards that ``model.safetensors.index.json`` names, else
    ``pytorch_model.bin``. ``source.json`` is written last: repository, revision, commit, and the files with size and
    SHA-256. A folder that has it, for the same revision, and whose files are as it says, is taken as it is, without
    the network; to move on with a branch, delete it. Otherwise the files that are right already stay, and files of an
    earlier commit go.

    Raises UserError, with the remedy: no such repository or revision, no permission, no network, no configuration or
    weights in the repository, a file that is not what the listing says.
    """
    folder = Path(folder)
    commit = _commit_here(folder, source, revision, code)
    if commit:
        log.info("%s: %s holds commit %s already", source, folder, commit)
        _advise_pin(source, revision, commit)
        return
    try:
        commit, listed = _listing(source, revision, sleep)
        _advise_pin(source, revision, commit)
        wanted = _wanted(listed, code, f"{source} at commit {commit}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SOURCE).unlink(missing_ok=True)
        for name in wanted:
            _bring(source, commit, folder / name, listed[name], sleep)
        if SHARDS in wanted:
            shards = _shards(folder / SHARDS, listed, source)
            for name in shards:
                _bring(source, commit, folder / name, listed[name], sleep)
            wanted += shards
    except FetchError as error:
        raise _explained(error, source, revision) from error
    _remove_others(folder, wanted)
    _write_source(
        folder,
        {
            "repository": source,
            "revision": revision,
            "commit": commit,
            "code": code,
            "files": {
                name: {
                    "size": (folder / name).stat().st_size,
                    "sha256": listed[name].sha256 or _sha256(folder / name),
                }
                for name in sorted(wanted)
            },
        },
    )
    log.info("%s: commit %s is in %s", source, commit, folder)


def _commit_here(folder: Path, source: str, revision: str | None, code: bool) -> str | None:
    """The commit of a complete folder of just this; None for any other."""
    try:
        note = json.loads((folder / SOURCE).read_text())
        same = (note["repository"], note["revision"]) == (source, revision) and note["code"] >= code
        files = {name: _Listed(file["size"], file["sha256"], None) for name, file in note["files"].items()}
        whole = same and not any(file.difference(folder / name) for name, file in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return note["commit"] if whole else None


def _advise_pin(source: str, revision: str | None, commit: str) -> None:
    if revision is None:
        log.warning(
            "%s: no revision was asked for, this is commit %s. To get the same weights for good, set revision: %s",
            source,
            commit,
            commit,
        )


def _endpoint() -> str:
    endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    if not endpoint.startswith(("http://", "https://")):
        raise UserError(f"HF_ENDPOINT is {endpoint!r}, no address.", "Let it begin with https://, or unset it.")
    return endpoint


def _token() -> str | None:
    return os.environ.get("HF_TOKEN", "").strip() or None


def _listing(source: str, revision: str | None, sleep: Callable[[float], None]) -> tuple[str, dict[str, _Listed]]:
    """The revision's commit, and the files of the repository's root by name."""
    url = f"{_endpoint()}/api/models/{quote(source)}/revision/{quote(revision or 'main', safe='')}?blobs=true"
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "listing.json"
        fetch(url, file, token=_token(), sleep=sleep)
        try:
            answer = json.loads(file.read_bytes())
            listed = {}
            for sibling in answer["siblings"]:
                large = sibling.get("lfs")
                if large:  # the git object of a large file is only a pointer to it
                    listed[sibling["rfilename"]] = _Listed(large["size"], large["sha256"], None)
                else:
                    listed[sibling["rfilename"]] = _Listed(sibling.get("size"), None, sibling.get("blobId"))
            return str(answer["sha"]), {name: entry for name, entry in listed.items() if "/" not in name}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{url} did not answer with a listing of the repository ({type(error).__name__}: {error}).",
                f"Check HF_ENDPOINT, if it is set. {_LOCAL}",
            ) from error


def _wanted(listed: dict[str, _Listed], code: bool, what: str) -> list[str]:
    """The names to fetch, small files first."""
    if CONFIG not in listed:
        raise UserError(
            f"{what} has no {CONFIG}, so it is no model that transformers reads.",
            f"Choose another repository or revision (it holds: {_some(listed)}). {_LOCAL}",
        )
    weights = next((name for name in (WEIGHTS, SHARDS, PICKLE) if name in listed), None)
    if weights is None:
        raise UserError(
            f"{what} has no weights that can be read here: {WEIGHTS}, {SHARDS} or {PICKLE}.",
            f"Choose another repository or revision (it holds: {_some(listed)}), or save the model as safetensors "
            "and give the folder as backbone.",
        )
    python = sorted(name for name in listed if name.endswith(".py")) if code else []
    return [CONFIG, *(name for name in TOKENIZER if name in listed), *python, weights]


def _some(listed: dict[str, _Listed]) -> str:
    names = sorted(listed)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "nothing"


def _shards(index: Path, listed: dict[str, _Listed], source: str) -> list[str]:
    try:
        names = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        names = []
    missing = [name for name in names if name not in listed]
    if missing or not names:
        problem = f"names {', '.join(missing)}, not in the repository" if missing else "names no files"
        raise UserError(f"{source}: its {index.name} {problem}.", f"Choose another revision. {_LOCAL}")
    return names


def _bring(source: str, commit: str, path: Path, listed: _Listed, sleep: Callable[[float], None]) -> None:
    # Without a digest a file of the right size may still be another commit's.
    if path.is_file() and (listed.sha256 or listed.git) and not listed.difference(path):
        return
    url = f"{_endpoint()}/{quote(source)}/resolve/{commit}/{quote(path.name)}"
    fetch(url, path, token=_token(), sleep=sleep)
    difference = listed.difference(path)
    if difference:
        path.unlink()
        raise UserError(
            f"{url} {difference}: it was damaged on its way. It has been removed.",
            f"Run again; if that does not help, whatever lies between is at fault (proxy, mirror). {_LOCAL}",
        )


def _remove_others(folder: Path, wanted: list[str]) -> None:
    """Weights and tokenizer files of an earlier commit would be read in place of, or beside, those of this one.

    So would the safetensors that an earlier commit's pickle was converted to.
    """
    for path in folder.iterdir():
        ours = path.name in (*TOKENIZER, WEIGHTS, SHARDS, PICKLE) or _SHARD.fullmatch(path.name)
        if ours and path.name not in wanted:
            path.unlink()


def _write_source(folder: Path, note: dict) -> None:
    part = folder / f".{SOURCE}.part"
    part.write_text(json.dumps(note, indent=2) + "\n")
    part.replace(folder / SOURCE)


def _explained(error: FetchError, source: str, revision: str | None) -> UserError:
    """What the hub's answer means. It gives the reason in the header X-Error-Code; a mirror may not."""
    code, endpoint = error.headers.get("X-Error-Code"), _endpoint()
    reason = error.headers.get("X-Error-Message", "")
    # An expired token is refused for open repositories too, and with the status of one that does not exist.
    if reason.startswith("Invalid credentials"):
        return UserError(
            f"{endpoint} does not know the token in HF_TOKEN (status {error.status}: {reason}).",
            f"Set HF_TOKEN to a valid one ({endpoint}/settings/tokens), or unset it if {source} is open. {_LOCAL}",
        )
    if code == "RevisionNotFound":
        return UserError(
            f"{source} at {endpoint} has no revision {revision or 'main'!r}.",
            f"Check its spelling, or choose one of {endpoint}/{source}/commits/main. {_LOCAL}",
        )
    # Whom it does not know, the hub also answers 401 for a repository that does not exist.
    if code == "RepoNotFound" or error.status == 404 or (error.status == 401 and not code):
        close = difflib.get_close_matches(source, _KNOWN, n=1, cutoff=0.8)
        meant = f"Did you mean {close[0]}? " if close and close[0] != source else ""
        what = f"no repository {source}" + (f" with a revision {revision}" if revision and not code else "")
        return UserError(
            f"There is {what} at {endpoint}, or it is private (status {error.status}).",
            f"{meant}Check the spelling (upper and lower case count); for a private or gated one set the environment "
            f"variable HF_TOKEN. {_LOCAL}",
        )
    if error.status in (401, 403):
        refused = "the token in HF_TOKEN does not open it" if _token() else "no token is set"
        what = "is gated" if code == "GatedRepo" else "is not given out"
        return UserError(
            f"{source} at {endpoint} {what}: {refused} (status {error.status}{f': {reason}' if reason else ''}).",
            f"Accept its terms at {endpoint}/{source} and set the environment variable HF_TOKEN to a token of yours "
            f"({endpoint}/settings/tokens). {_LOCAL}",
        )
    return UserError(
        error.problem,
        f"Check the network (a cluster's nodes may have none) and run again: what arrived is kept. {_LOCAL}",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _git_id(path: Path) -> str:
    """SHA-1 over ``blob SIZE``, a zero byte and the content (git-scm.com/book, Git Internals, Git Objects)."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
