"""A conda channel on disk: empty packages of given names and versions, and a python that runs this interpreter."""

import hashlib
import io
import json
import tarfile
from pathlib import Path


def make_channel(folder: Path, packages: dict[str, str], interpreter: str) -> str:
    """Write a channel with each package at its version; ``python`` holds ``bin/python``. Returns its file:// URL."""
    records = {}
    (folder / "noarch").mkdir(parents=True)
    (folder / "linux-64").mkdir()
    for name, version in packages.items():
        # Each start is noted, so that a test can see which environments' python ran.
        shim = f'#!/bin/sh\necho "$0" >> "$STANDIN_LOG"\nexec "{interpreter}" "$@"\n'
        files = {"bin/python": shim.encode()} if name == "python" else {}
        records.update(_package(folder / "noarch", name, version, files))
    for subdir, held in (("noarch", records), ("linux-64", {})):
        content = {
            "info": {"subdir": subdir},
            "packages": held,
            "packages.conda": {},
            "removed": [],
            "repodata_version": 1,
        }
        (folder / subdir / "repodata.json").write_text(json.dumps(content))
    return folder.as_uri()


def _package(folder: Path, name: str, version: str, files: dict[str, bytes]) -> dict[str, dict]:
    index = {
        "name": name,
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": [],
        "arch": None,
        "platform": None,
        "subdir": "noarch",
        "noarch": "generic",
        "timestamp": 0,
    }
    paths = [
        {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_in_bytes": len(content),
        }
        for path, content in files.items()
    ]
    members = {
        **files,
        "info/index.json": json.dumps(index).encode(),
        "info/files": "".join(f"{path}\n" for path in files).encode(),
        "info/about.json": b"{}",
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
    }
    file = folder / f"{name}-{version}-0.tar.bz2"
    with tarfile.open(file, "w:bz2") as archive:
        for path, content in members.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.mode = 0o755 if path.startswith("bin/") else 0o644
            archive.addfile(member, io.BytesIO(content))
    data = file.read_bytes()
    digests = {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
    return {file.name: {**index, **digests, "size": len(data)}}
