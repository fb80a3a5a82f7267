import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "workflow"
CODE = """
import logging, sys
from diffusion_bert.progress import bar
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
with bar("training", "step") as show:
    for done in (10, 20, 40):
        logging.info("a line of the log")
        if show is not None:
            show(done, 40)
"""


def test_a_bar_on_a_terminal():
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
    subprocess.run([sys.executable, "-c", CODE], cwd=LIBRARY, stderr=theirs, check=True)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(mine, 4096):
            seen += part
    except OSError:  # all is read
        pass
    assert b"training: 100%" in seen
    assert b"40/40" in seen
    assert seen.count(b"a line of the log") == 3


def test_lines_alone_in_a_log():
    done = subprocess.run([sys.executable, "-c", CODE], cwd=LIBRARY, stderr=subprocess.PIPE, check=True, text=True)
    assert done.stderr == "a line of the log\n" * 3
