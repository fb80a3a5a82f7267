"""Bring a file from a path, file, http, https or ftp to its place: resumed, verified, atomic.

What has arrived is kept as ``.{name}.part`` beside the destination, with the source's validator (ETag, Last-Modified or
MDTM) in ``.{name}.part.json``; a later call goes on from there if the source still is the same file, and starts afresh
if not or if the server cannot say. The destination appears only when the file is whole and its checksum is right.
"""

import ftplib
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from diffusion_bert.errors import UserError

_ATTEMPTS = 6
_TIMEOUT = (15, 60)  # seconds to connect, and without a byte
_LONGEST_WAIT = 120.0
_CHUNK = 1 << 18
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524)
_DIGESTS = {"sha256": 64, "md5": 32}
_ACCESSION = re.compile(r"ENCFF[0-9]{3}[A-Z]{3}")
_ENCODE_SUFFIX = {
    "auto": "bigBed",
    "bigbed": "bigBed",
    "narrowpeak": "bed.gz",
    "broadpeak": "bed.gz",
    "bed": "bed.gz",
    "fasta": "fasta.gz",
}


class FetchError(UserError):
    """The source did not give the file. status, headers: of its answer, as far as one came."""

    def __init__(self, problem: str, remedy: str, status: int | None = None, headers: Mapping[str, str] | None = None):
        super().__init__(problem, remedy)
        self.status = status
        self.headers = {} if headers is None else headers


class _TransientError(Exception):
    """Worth another attempt. wait: seconds the server asks for, if it does."""

    def __init__(self, cause: object, wait: float | None = None):
        super().__init__(str(cause))
        self.wait = wait


@dataclass
class _Part:
    """The kept beginning of a file, and what says that the source has not changed since."""

    path: Path
    source: str

    @classmethod
    def of(cls, destination: Path, source: str) -> "_Part":
        return cls(destination.with_name(f".{destination.name}.part"), source)

    @property
    def _note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str | None:
        """The validator that the kept bytes came with; None where there are none of this source, or none can tell."""
        try:
            note = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return None
        return note.get("validator") if note.get("source") == self.source and self.size else None

    def begin(self, validator: str | None) -> None:
        """Empty, with the validator of what is to come."""
        self.path.write_bytes(b"")
        self._note.write_text(json.dumps({"source": self.source, "validator": validator}))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, destination: Path) -> None:
        self.path.replace(destination)
        self._note.unlink(missing_ok=True)


def resolve_source(source: str, format: str = "auto") -> str:
    """An ENCODE file accession (``ENCFF001ABC``) to its URL; anything else as it is.

    format: of the track sheet (``fasta`` for a genome); says which of ENCODE's suffixes the file has (bigBed, bed.gz,
    fasta.gz). Raises UserError for an accession that is no file's and for a format that ENCODE has no suffix for.
    """
    source = str(source).strip()
    if re.fullmatch(r"ENC(SR|BS|DO|LB|AB)[0-9]{3}[A-Z]{3}", source):
        raise UserError(
            f"{source} is an ENCODE accession, but not of a file.",
            "Open it at https://www.encodeproject.org and give the accession of one of its files (ENCFF...).",
        )
    if not _ACCESSION.fullmatch(source):
        return source
    if format not in _ENCODE_SUFFIX:
        raise UserError(
            f"{source}: no suffix at ENCODE is known for the format {format}.",
            f"Use one of {', '.join(_ENCODE_SUFFIX)}, or give the file's URL.",
        )
    return f"https://www.encodeproject.org/files/{source}/@@download/{source}.{_ENCODE_SUFFIX[format]}"


def fetch(
    source: str,
    destination: str | Path,
    checksum: str | None = None,
    *,
    token: str | None = None,
    progress: float = 5.0,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Put the file at ``source`` at ``destination``.

    source: local path or file:// URL (linked to by its absolute path, not copied), http://, https:// or ftp:// URL.
    checksum: ``sha256:...`` or ``md5:...`` (the prefix may be left out), of the file as it is at the source.
    token: for http and https, shown to the source's own host (Authorization: Bearer), not to where it redirects.
    progress: seconds between lines in the log. sleep: how to wait between attempts.

    Cut connections, short bodies, timeouts and the statuses 408, 425, 429 and 5xx are tried again up to five times,
    with waits of 1, 2, 4, ... s (or what Retry-After says, at most 2 minutes), going on from the bytes that are here.
    Raises UserError, naming source and remedy: a wrong checksum (nothing is left of the file then); as FetchError: not
    found, refused, an HTML page in the file's place, attempts used up (what arrived is kept for the next call).
    """
    source, destination = str(source), Path(destination)
    expected = _parse_checksum(checksum)
    destination.parent.mkdir(parents=True, exist_ok=True)
    scheme = urlsplit(source).scheme.lower() if "://" in source else "file"
    if scheme == "file":
        _link(source, destination, expected)
        return
    if scheme not in ("http", "https", "ftp"):
        raise UserError(
            f"{source}: addresses of the kind {scheme}:// are not known.", "Use a path, http, https or ftp."
        )
    part = _Part.of(destination, source)
    transfer = _ftp if scheme == "ftp" else partial(_http, token=token)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            transfer(source, part, progress)
            break
        except _TransientError as error:
            if attempt == _ATTEMPTS:
                raise FetchError(
                    f"{source} could not be fetched in {_ATTEMPTS} attempts; the last one ended with: {error}.",
                    f"Run again later ({part.size:,} bytes are kept and will be used), or give another source.",
                ) from error
            wait = min(_LONGEST_WAIT, 2.0 ** (attempt - 1) if error.wait is None else error.wait)
            logging.warning("%s: %s; attempt %d of %d in %.0f s", source, error, attempt + 1, _ATTEMPTS, wait)
            sleep(wait)
    try:
        _verify(part.path, expected, source)
    except UserError:
        part.remove()
        raise
    part.finish(destination)
    logging.info("%s: done, %s bytes", source, f"{destination.stat().st_size:,}")


def _parse_checksum(checksum: str | None) -> tuple[str, str] | None:
    if not checksum:
        return None
    name, _, digest = checksum.strip().lower().rpartition(":")
    name = name or next((known for known, size in _DIGESTS.items() if size == len(digest)), "")
    if name not in _DIGESTS or not re.fullmatch(rf"[0-9a-f]{{{_DIGESTS[name]}}}", digest):
        raise UserError(
            f"{checksum!r} is no checksum.", "Write sha256: and 64 hexadecimal digits, or md5: and 32, or leave it out."
        )
    return name, digest


def _verify(path: Path, expected: tuple[str, str] | None, source: str) -> None:
    if expected is None:
        return
    name, digest = expected
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, name).hexdigest()
    if found != digest:
        raise UserError(
            f"{source} has the {name} {found}, where {digest} was expected.",
            "Check that the source is the file that was meant, and mend the checksum if it is.",
        )


def _link(source: str, destination: Path, expected: tuple[str, str] | None) -> None:
    name = unquote(urlsplit(source).path) if source.lower().startswith("file://") else source
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UserError(f"The file {path} {what}.", "Mend the path; relative ones start from the working directory.")
    _verify(path, expected, str(path))
    if path == destination.absolute():
        return
    link = destination.with_name(f".{destination.name}.link")
    link.unlink(missing_ok=True)
    link.symlink_to(path)
    link.replace(destination)


def _http(source: str, part: _Part, progress: float, token: str | None) -> None:
    """One attempt. Bytes are kept as they are on the wire: a .gz that a server declares as encoding stays packed."""
    import requests
    import urllib3

    validator = part.validator()
    headers = {"Accept-Encoding": "identity", "User-Agent": "dna-diffusion-bert"}
    if validator:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": validator}
    try:
        with requests.get(source, headers=headers, auth=_bearer(token), stream=True, timeout=_TIMEOUT) as response:
            if validator and response.status_code == 416:
                if response.headers.get("Content-Range", "").endswith(f"*/{part.size}"):
                    return  # all of it was here already
                part.remove()
                raise _TransientError("the server has no such range; starting afresh", wait=0)
            _check_status(source, response)
            start = _resumed_at(response, part.size) if validator else 0
            if not start:
                part.begin(_http_validator(response))
            length = response.headers.get("Content-Length")
            total = start + int(length) if length and length.isdigit() else None
            page = "text/html" in response.headers.get("Content-Type", "").lower()
            chunks = iter(lambda: response.raw.read(_CHUNK, decode_content=False), b"")
            _receive(source, part, chunks, start, total, progress, page)
    except (requests.exceptions.InvalidURL, requests.TooManyRedirects) as error:
        raise FetchError(f"{source} leads nowhere: {error}.", "Mend the address.") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _TransientError(f"{type(error).__name__}: {error}") from error


def _bearer(token: str | None) -> Callable | None:
    """As requests' ``auth``: a header of one's own would give way to an entry of ~/.netrc."""

    def sign(request):
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign if token else None


def _check_status(source: str, response) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status in _TRANSIENT:
        asked = response.headers.get("Retry-After", "")
        raise _TransientError(f"status {status} ({response.reason})", float(asked) if asked.isdigit() else None)
    if status in (404, 410):
        problem, remedy = f"does not exist (status {status}).", "Mend the address; it may have moved."
    elif status in (401, 403):
        problem = f"may not be read without permission (status {status})."
        remedy = "Download it by hand and give its path, or use an open address."
    else:
        problem, remedy = f"was answered with status {status} ({response.reason}).", "Mend the address."
    raise FetchError(f"{source} {problem}", remedy, status, response.headers)


def _resumed_at(response, size: int) -> int:
    """Where the body begins: ``size`` if the server goes on from there, 0 if it sends the whole."""
    if response.status_code != 206:
        return 0
    if not re.match(rf"bytes {size}-", response.headers.get("Content-Range", "")):
        raise _TransientError("the server sent another range than was asked for")
    return size


def _http_validator(response) -> str | None:
    etag = response.headers.get("ETag")
    strong = etag if etag and not etag.startswith("W/") else None  # a weak one does not vouch for single bytes
    return strong or response.headers.get("Last-Modified")


def _receive(
    source: str, part: _Part, chunks: Iterator[bytes], start: int, total: int | None, progress: float, page: bool
) -> None:
    """Append the chunks; refuse a page in the file's place; raise _TransientError when fewer bytes came than told."""
    size, told = start, time.monotonic()
    pages_wanted = PurePosixPath(urlsplit(source).path).suffix.lower() in (".html", ".htm", ".xhtml")
    with part.path.open("ab") as out:
        for chunk in chunks:
            if size == 0 and not pages_wanted and (page or _looks_like_page(chunk)):
                out.close()
                part.remove()
                raise FetchError(
                    f"{source} gave an HTML page, not the file: {_title(chunk)!r}.",
                    "Open the address in a browser: it may want a login, or be the page that links to the file.",
                )
            out.write(chunk)
            size += len(chunk)
            if time.monotonic() - told >= progress:
                told = time.monotonic()
                share = f" of {total:,} bytes ({100 * size / total:.0f} %)" if total else " bytes"
                logging.info("%s: %s%s", source, f"{size:,}", share)
    if total is not None and size < total:
        raise _TransientError(f"the body ended after {size:,} of {total:,} bytes")
    if total is not None and size > total:
        part.remove()
        raise _TransientError(f"{size:,} bytes came where {total:,} were announced; starting afresh")


def _looks_like_page(chunk: bytes) -> bool:
    return chunk[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html"))


def _title(chunk: bytes) -> str:
    match = re.search(rb"<title>\s*(.*?)\s*</title>", chunk, flags=re.IGNORECASE | re.DOTALL)
    text = match.group(1) if match else re.sub(rb"<[^>]*>", b" ", chunk).strip()
    return b" ".join(text.split())[:80].decode("utf-8", "replace")


def _ftp(source: str, part: _Part, progress: float) -> None:
    """One attempt over ftp; the file's time of change and size stand for its validator."""
    parts = urlsplit(source)
    try:
        with ftplib.FTP(timeout=_TIMEOUT[1]) as server:
            server.connect(parts.hostname or "", parts.port or ftplib.FTP_PORT)
            server.login(unquote(parts.username or "anonymous"), unquote(parts.password or "anonymous@"))
            server.voidcmd("TYPE I")
            name = unquote(parts.path)
            total = server.size(name)
            validator = _ftp_validator(server, name, total)
            start = part.size if validator and validator == part.validator() and part.size <= (total or 0) else 0
            if not start:
                part.begin(validator)
            if start == total:
                return
            with server.transfercmd(f"RETR {name}", rest=start or None) as connection:
                _receive(source, part, iter(lambda: connection.recv(_CHUNK), b""), start, total, progress, False)
            server.voidresp()
    except ftplib.error_perm as error:
        raise FetchError(f"{source} was refused: {error}.", "Mend the address, or use an open one.") from error
    except (ftplib.Error, OSError, EOFError) as error:
        raise _TransientError(f"{type(error).__name__}: {error}") from error


def _ftp_validator(server: ftplib.FTP, name: str, size: int | None) -> str | None:
    try:
        return f"{server.sendcmd(f'MDTM {name}')} {size}"
    except ftplib.error_perm:  # the command is optional
        return None
