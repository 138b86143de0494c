"""The importer: a process that looks at a clinic's files or imports them, says so, and ends.

    python -m cairn_client.imports.process FOLDER PERSON [--dry-run] [--accept-loss]

The keeper starts it, as its own user, and reads one line of JSON from it. Memory and faults of the
reading end with it; the kernel ends it with the keeper.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.hardened import leave_nothing_behind, unforeseen
from cairn_client.imports.approved import approved_studies
from cairn_client.imports.found import LINE
from cairn_client.imports.run import dry_run, run_import
from cairn_client.log_events import AllowListed
from cairn_protocol.errors import CairnError, OurFault

NICENESS: Final = 10  # a study's round goes first
_PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str]) -> int:
    """Exit status 0 with what came of it on stdout, or a refusal's status with its words there."""
    folder, person, *options = arguments
    try:
        clinic = ClinicFolder.open(Path(folder))
        if "--dry-run" in options:
            ran = dry_run(clinic, person, lambda: approved_studies(clinic.path))
        else:
            accept = "--accept-loss" in options
            ran = run_import(
                clinic, person, lambda: approved_studies(clinic.path), accept_loss=accept
            )
    except CairnError as error:
        _say({"what": error.what, "code": error.code, "why": error.why, "hint": error.hint})
        return error.exit_status
    except Exception as error:  # its words may quote a value
        print(unforeseen(error), file=sys.stderr)
        return OurFault.exit_status
    _say({"line": LINE.dump_python(ran.found.line, mode="json")})
    return 0


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")


def _as_a_child() -> None:
    leave_nothing_behind()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    with contextlib.suppress(PermissionError):  # a hardened service may forbid it
        os.nice(NICENESS)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AllowListed())
    ours = logging.getLogger("cairn")
    ours.handlers[:], ours.propagate = [handler], False


if __name__ == "__main__":
    _as_a_child()
    sys.exit(main(sys.argv[1:]))
