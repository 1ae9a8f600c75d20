"""``python -m medsight_core.server``: `serve` with plain arguments, for `running_server`. People use `medsight serve`.

The token comes from the environment, never from the command line, which other users of the machine can list.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from medsight_core.errors import run_program
from medsight_core.server.serve import serve
from medsight_core.server.settings import Settings, token_from_environment


def main() -> int:
    """Serve until stopped; the exit code is the error's, with its sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m medsight_core.server")
    parser.add_argument("--studies", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--host", default=Settings.host)
    parser.add_argument("--port", type=int, default=Settings.port)
    parser.add_argument("--device", default=Settings.device)
    parser.add_argument("--bits", type=int)
    parser.add_argument("--max-upload-bytes", type=int, default=Settings.max_upload_bytes)
    parser.add_argument("--training-data", type=Path)
    parser.add_argument("--reserve-bytes", type=int, default=Settings.reserve_bytes)
    parser.add_argument("--replicas", type=int, default=Settings.replicas)
    options = vars(parser.parse_args())
    return run_program(lambda: serve(Settings(**options, token=token_from_environment())))


if __name__ == "__main__":
    sys.exit(main())
