"""Downloads against a local server that fails in every way that servers do."""

import hashlib
import http.server
import logging
import socketserver
import threading
import time
from pathlib import Path

import pytest

from diffusion_bert import downloads
from diffusion_bert.downloads import fetch, resolve_source
from diffusion_bert.errors import UserError

BODY = bytes(range(256)) * 4000  # 1,024,000 bytes, more than one chunk
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()
PAGE = b"\n<!DOCTYPE html><html><head><title>Please log in</title></head></html>"


class Server(http.server.BaseHTTPRequestHandler):
    """``faults``: one a request, then the plain truth. ``requests``: the Range and If-Range of each request."""

    protocol_version = "HTTP/1.1"
    faults: list
    requests: list
    headers_of_file: dict
    ranges = True
    retry_after = ""

    def log_message(self, *_):
        pass

    def do_GET(self):  # noqa: N802 - the name is http.server's
        self.requests.append((self.headers.get("Range"), self.headers.get("If-Range")))
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            return self.answer(
                fault, b"<html>busy</html>", {"Content-Type": "text/html", "Retry-After": self.retry_after}
            )
        if fault == "drop":
            self.close_connection = True
            return None
        if fault == "hang":
            time.sleep(0.5)
            self.close_connection = True
            return None
        if fault == "page":
            return self.answer(200, PAGE, {"Content-Type": "text/html; charset=utf-8"})
        if fault == "untyped page":
            return self.answer(200, PAGE, {})
        if self.path == "/loop":
            return self.answer(302, b"", {"Location": "/loop"})
        if self.path == "/moved":
            return self.answer(302, b"", {"Location": "/file.bin"})
        if self.path not in ("/file.bin", "/page.html"):
            return self.answer(404, b"no", {"Content-Type": "text/html"})
        body, status, headers = BODY, 200, dict(self.headers_of_file)
        start = 0
        if self.ranges and (asked := self.headers.get("Range")):
            known = (headers.get("ETag"), headers.get("Last-Modified"))
            if self.headers.get("If-Range") in known:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(BODY):
                    return self.answer(416, b"", {"Content-Range": f"bytes */{len(BODY)}"})
                status, headers["Content-Range"] = 206, f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        if fault == "other range":
            headers["Content-Range"] = f"bytes 7-{len(BODY) - 1}/{len(BODY)}"
        return self.answer(status, body[start:], headers, cut=fault == "cut", length=fault != "no length")

    def answer(self, status, body, headers, *, cut=False, length=True):
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        if length:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self.close_connection = True


class Listening(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that hangs up is what some tests are about."""


@pytest.fixture
def server():
    handler = type(
        "Handler", (Server,), {"faults": [], "requests": [], "headers_of_file": {"ETag": '"one"'}, "waits": []}
    )
    with Listening(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        handler.url = f"http://127.0.0.1:{running.server_port}"
        yield handler
        running.shutdown()
        thread.join()


def get(server, path, destination, checksum=None):
    fetch(f"{server.url}{path}", destination, checksum, sleep=server.waits.append)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("checksum", [None, f"sha256:{SHA256}", f"md5:{MD5}", SHA256, MD5.upper()])
def test_a_plain_download_is_whole_and_leaves_nothing_beside(tmp_path, server, checksum):
    get(server, "/file.bin", tmp_path / "new" / "file", checksum)
    assert (tmp_path / "new" / "file").read_bytes() == BODY
    assert names(tmp_path / "new") == ["file"]
    assert server.waits == []


def test_redirects_are_followed_unless_they_go_in_circles(tmp_path, server):
    get(server, "/moved", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    with pytest.raises(UserError, match="/loop leads nowhere: Exceeded 30 redirects"):
        get(server, "/loop", tmp_path / "other")


def test_busy_servers_are_asked_again_with_growing_waits(tmp_path, server):
    server.faults += [503, 500, 429]
    get(server, "/file.bin", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.waits == [1, 2, 4]


def test_retry_after_is_honoured_up_to_two_minutes(tmp_path, server):
    server.faults += [503, 429]
    server.retry_after = "7"
    get(server, "/file.bin", tmp_path / "file")
    assert server.waits == [7, 7]
    server.faults += [503]
    server.retry_after = "86400"
    get(server, "/file.bin", tmp_path / "file")
    assert server.waits == [7, 7, 120]


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"one"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, '"one"'),
        ({"ETag": 'W/"one"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, "Mon, 01 Jan 2024 00:00:00 GMT"),
    ],
)
def test_a_body_cut_half_way_goes_on_where_it_was_cut(tmp_path, server, headers, validator):
    server.faults += ["cut"]
    server.headers_of_file.update(headers)
    get(server, "/file.bin", tmp_path / "file", SHA256)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requests == [(None, None), (f"bytes={len(BODY) // 2}-", validator)]
    assert names(tmp_path) == ["file"]


def test_a_dropped_connection_is_made_again(tmp_path, server):
    server.faults += ["drop"]
    get(server, "/file.bin", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_silent_server_is_asked_again(tmp_path, server, monkeypatch):
    monkeypatch.setattr(downloads, "_TIMEOUT", (1, 0.1))
    server.faults += ["hang"]
    get(server, "/file.bin", tmp_path / "file", SHA256)
    assert server.waits == [1]


def test_what_arrived_is_kept_for_the_next_call(tmp_path, server):
    server.faults += ["cut"] + [503] * 5
    with pytest.raises(UserError, match=r"file.bin could not be fetched in 6 attempts.* 503 .*512,000 bytes are kept"):
        get(server, "/file.bin", tmp_path / "file")
    assert server.waits == [1, 2, 4, 8, 16]
    assert names(tmp_path) == [".file.part", ".file.part.json"]
    server.requests.clear()
    get(server, "/file.bin", tmp_path / "file", SHA256)
    assert server.requests == [("bytes=512000-", '"one"')]
    assert names(tmp_path) == ["file"]


def test_a_changed_file_another_source_or_a_server_without_ranges_starts_afresh(tmp_path, server):
    def leave_half(source, validator):
        (tmp_path / ".file.part").write_bytes(b"x" * 1000)
        (tmp_path / ".file.part.json").write_text(f'{{"source": "{source}", "validator": {validator}}}')

    for source, validator, asked in (
        (f"{server.url}/file.bin", '"\\"old\\""', "bytes=1000-"),
        ("http://elsewhere/file.bin", '"\\"one\\""', None),
        (f"{server.url}/file.bin", "null", None),
    ):
        server.requests.clear()
        leave_half(source, validator)
        get(server, "/file.bin", tmp_path / "file", SHA256)
        assert [request[0] for request in server.requests] == [asked]
    server.ranges = False
    leave_half(f"{server.url}/file.bin", '"\\"one\\""')
    get(server, "/file.bin", tmp_path / "file", SHA256)
    (tmp_path / ".file.part").write_bytes(b"x" * 1000)
    (tmp_path / ".file.part.json").write_text("no json")
    get(server, "/file.bin", tmp_path / "file", SHA256)


def test_without_a_validator_a_cut_body_is_fetched_from_the_beginning(tmp_path, server):
    server.faults += ["cut"]
    server.headers_of_file.clear()
    get(server, "/file.bin", tmp_path / "file", SHA256)
    assert server.requests == [(None, None), (None, None)]


def test_a_complete_part_and_a_part_that_is_too_long(tmp_path, server):
    note = f'{{"source": "{server.url}/file.bin", "validator": "\\"one\\""}}'
    for size in (len(BODY), len(BODY) + 5):
        (tmp_path / ".file.part").write_bytes((BODY + b"surplus")[:size])
        (tmp_path / ".file.part.json").write_text(note)
        get(server, "/file.bin", tmp_path / "file", SHA256)
        assert names(tmp_path) == ["file"]
    assert [request[0] for request in server.requests] == [f"bytes={len(BODY)}-", f"bytes={len(BODY) + 5}-", None]


def test_a_server_that_sends_another_range_is_not_believed(tmp_path, server):
    server.faults += ["cut", "other range"]
    get(server, "/file.bin", tmp_path / "file", SHA256)
    assert (tmp_path / "file").read_bytes() == BODY
    assert len(server.requests) == 3


def test_a_body_without_length_is_taken_until_its_end(tmp_path, server):
    server.faults += ["no length"]
    get(server, "/file.bin", tmp_path / "file", SHA256)


@pytest.mark.parametrize("fault", ["page", "untyped page"])
def test_an_error_page_is_never_taken_for_the_file(tmp_path, server, fault):
    server.faults += [fault]
    with pytest.raises(UserError, match="file.bin gave an HTML page, not the file: 'Please log in'.*in a browser"):
        get(server, "/file.bin", tmp_path / "file")
    assert names(tmp_path) == []
    server.faults += [fault]
    get(server, "/page.html", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == PAGE


@pytest.mark.parametrize(
    ("status", "message"), [(403, "without permission"), (410, "does not exist"), (400, "answered with status 400")]
)
def test_refusals_are_told_at_once(tmp_path, server, status, message):
    server.faults += [status]
    with pytest.raises(UserError, match=message):
        get(server, "/file.bin", tmp_path / "file")
    assert server.waits == []


def test_a_missing_file_is_told_at_once_with_its_address(tmp_path, server):
    with pytest.raises(UserError, match=rf"{server.url}/absent does not exist \(status 404\).*Mend the address"):
        get(server, "/absent", tmp_path / "file")
    assert len(server.requests) == 1
    assert names(tmp_path) == []


def test_a_wrong_checksum_leaves_nothing_and_names_both(tmp_path, server):
    (tmp_path / "file").write_text("the old one")
    with pytest.raises(UserError, match=f"has the sha256 {SHA256}, where {'0' * 64} was expected"):
        get(server, "/file.bin", tmp_path / "file", "sha256:" + "0" * 64)
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "the old one"


@pytest.mark.parametrize("checksum", ["sha1:" + "0" * 40, "sha256:12", "md5:" + "0" * 64, "0" * 40, "md5:" + "g" * 32])
def test_what_is_no_checksum_is_told_before_anything_is_fetched(tmp_path, checksum):
    with pytest.raises(UserError, match="is no checksum.*64 hexadecimal digits"):
        fetch("http://127.0.0.1:9/file", tmp_path / "file", checksum)


def test_nobody_listening(tmp_path):
    waits = []
    with pytest.raises(UserError, match=r"could not be fetched in 6 attempts.*ConnectionError.*Run again later"):
        fetch("http://127.0.0.1:9/file", tmp_path / "file", sleep=waits.append)
    assert len(waits) == 5


def test_progress_is_logged(tmp_path, server, caplog):
    with caplog.at_level(logging.INFO):
        fetch(f"{server.url}/file.bin", tmp_path / "file", progress=0)
    lines = [record.getMessage() for record in caplog.records if "file.bin" in record.getMessage()]
    assert lines[0].endswith("file.bin: 262,144 of 1,024,000 bytes (26 %)")
    assert lines[-1].endswith("file.bin: done, 1,024,000 bytes")


def test_local_files_are_linked_to(tmp_path, monkeypatch):
    original = tmp_path / "a file"
    original.write_bytes(BODY)
    monkeypatch.chdir(tmp_path)
    for source in ("a file", str(original), f"file://{tmp_path}/a%20file"):
        fetch(source, tmp_path / "out" / "linked", f"md5:{MD5}")
        assert (tmp_path / "out" / "linked").readlink() == original
        assert names(tmp_path / "out") == ["linked"]
    fetch(str(original), original)
    assert original.read_bytes() == BODY
    assert not original.is_symlink()


def test_mistaken_local_files(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    with pytest.raises(UserError, match="absent does not exist.*relative ones start from the working directory"):
        fetch(str(tmp_path / "absent"), tmp_path / "out")
    with pytest.raises(UserError, match="is a folder"):
        fetch(str(tmp_path), tmp_path / "out")
    with pytest.raises(UserError, match=f"mine has the md5 {hashlib.md5(b'mine').hexdigest()}, where {MD5}"):
        fetch(str(tmp_path / "mine"), tmp_path / "out", MD5)
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert not (tmp_path / "out").exists()


def test_unknown_kinds_of_address(tmp_path):
    with pytest.raises(UserError, match="s3://bucket/key: addresses of the kind s3:// are not known"):
        fetch("s3://bucket/key", tmp_path / "out")


@pytest.mark.parametrize(
    ("format", "suffix"), [("auto", "bigBed"), ("bigbed", "bigBed"), ("narrowpeak", "bed.gz"), ("fasta", "fasta.gz")]
)
def test_encode_accessions(format, suffix):
    expected = f"https://www.encodeproject.org/files/ENCFF001ABC/@@download/ENCFF001ABC.{suffix}"
    assert resolve_source("ENCFF001ABC", format) == expected


def test_what_is_no_encode_file_accession():
    for source in ("data/ENCFF001ABC.bed", "https://host/ENCFF001ABC", "ENCFF01ABC"):
        assert resolve_source(source) == source
    with pytest.raises(UserError, match="ENCSR000AKP is an ENCODE accession, but not of a file"):
        resolve_source("ENCSR000AKP")
    with pytest.raises(UserError, match="no suffix at ENCODE is known for the format tsv"):
        resolve_source("ENCFF001ABC", "tsv")


class Ftp(socketserver.StreamRequestHandler):
    """As much of ftp (RFC 959, 3659) as a download needs. The first transfer is cut half way if ``cut``."""

    cut = False
    changed = "20240101000000"
    said: list

    def handle(self):
        self.reply("220 ready")
        start = 0
        while line := self.rfile.readline().decode().strip():
            command, _, argument = line.partition(" ")
            self.said.append(line)
            if command in ("SIZE", "MDTM", "RETR") and argument != "/pub/file.bin":
                self.reply("550 no such file")
            elif command == "EPSV" or command == "PASV":
                listener = socketserver.TCPServer(("127.0.0.1", 0), None)
                port = listener.server_address[1]
                self.reply(f"227 (127,0,0,1,{port // 256},{port % 256})" if command == "PASV" else f"229 (|||{port}|)")
            elif command == "REST":
                start = int(argument)
                self.reply("350 ok")
            elif command == "RETR":
                self.reply("150 coming")
                connection, _ = listener.socket.accept()
                half, type(self).cut = self.cut, False
                with connection:
                    connection.sendall(BODY[start : len(BODY) // 2] if half else BODY[start:])
                listener.server_close()
                self.reply("426 cut" if half else "226 done")
            else:
                answers = {"USER": "331 password", "SIZE": f"213 {len(BODY)}", "QUIT": "221 bye"}
                answers["MDTM"] = f"213 {self.changed}" if self.changed else "500 unknown"
                self.reply(answers.get(command, "200 ok" if command == "TYPE" else "230 ok"))
                if command == "QUIT":
                    return

    def reply(self, line):
        self.wfile.write(f"{line}\r\n".encode())


@pytest.fixture
def ftp():
    handler = type("Handler", (Ftp,), {"said": []})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        handler.url = f"ftp://127.0.0.1:{running.server_address[1]}"
        yield handler
        running.shutdown()
        thread.join()


def test_ftp_goes_on_where_it_was_cut(tmp_path, ftp):
    ftp.cut = True
    fetch(f"{ftp.url}/pub/file.bin", tmp_path / "file", SHA256, sleep=lambda _: None)
    assert (tmp_path / "file").read_bytes() == BODY
    assert [line for line in ftp.said if line.startswith("REST")] == [f"REST {len(BODY) // 2}"]
    assert names(tmp_path) == ["file"]


def test_ftp_without_a_time_of_change_starts_afresh(tmp_path, ftp):
    ftp.cut, ftp.changed = True, ""
    fetch(f"{ftp.url}/pub/file.bin", tmp_path / "file", SHA256, sleep=lambda _: None)
    assert not [line for line in ftp.said if line.startswith("REST")]


def test_ftp_missing_file_and_nobody_listening(tmp_path, ftp):
    with pytest.raises(UserError, match="/pub/absent was refused: 550 no such file"):
        fetch(f"{ftp.url}/pub/absent", tmp_path / "file")
    with pytest.raises(UserError, match="could not be fetched in 6 attempts.*ConnectionRefusedError"):
        fetch("ftp://127.0.0.1:9/file", tmp_path / "file", sleep=lambda _: None)


def test_ftp_whose_part_is_complete_transfers_nothing(tmp_path, ftp):
    part = downloads._Part.of(Path(tmp_path / "file"), f"{ftp.url}/pub/file.bin")
    part.begin(f"213 {ftp.changed} {len(BODY)}")
    part.path.write_bytes(BODY)
    fetch(f"{ftp.url}/pub/file.bin", tmp_path / "file", SHA256)
    assert not [line for line in ftp.said if line.startswith("RETR")]
