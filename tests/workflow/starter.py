"""Runs of Snakemake, each a fork of this process, which has imported it: the import is most of what a dry run takes.

Asked line by line on standard input (JSON: the arguments of ``run``), one run at a time; answers with exit statuses.
"""

import json
import os
import signal
import sys
import traceback

from snakemake.cli import main


def run(arguments: list[str], cwd: str, env: dict[str, str], said: str, seconds: int) -> int:
    """As ``python -m snakemake`` would in the folder; output and errors go to the file ``said``."""
    signal.alarm(seconds)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    os.chdir(cwd)
    os.environ.update(env)
    sys.path[0] = cwd
    sys.argv[1:] = arguments
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


for line in sys.stdin:
    if (child := os.fork()) == 0:
        os._exit(run(**json.loads(line)))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
