"""`leave_nothing_behind`: a process that holds records writes none of its memory anywhere.

umask 0077                files are its user's alone
RLIMIT_CORE 0             the kernel writes no core file
PR_SET_DUMPABLE 0         nor hands one to a crash reporter, which a limit of 0 does not stop;
                          and no other process of the same user may look into it
exceptions                type and lines of code, never words: they may quote a value
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import sys
import threading
from types import TracebackType
from typing import Final

from cairn_client.log_events import without_words

_PR_SET_DUMPABLE: Final = 4


def leave_nothing_behind() -> None:
    """For a daemon, once it runs as its own user (a change of user would undo the second)."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    sys.excepthook = _tell
    threading.excepthook = _tell_of_thread
    faulthandler.enable()  # frames of a crash: files and lines, no values


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    del kind, trace
    print(unforeseen(error), file=sys.stderr)


def _tell_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and args.exc_type is not SystemExit:
        print(unforeseen(args.exc_value), file=sys.stderr)


def unforeseen(error: BaseException) -> str:
    """What a person is told of a fault of Cairn's own, to be sent with a report."""
    return (
        f"error: Cairn met what it did not foresee\n  why: {without_words(error)}\n"
        " hint: this is a fault of Cairn's: report it with these lines, which hold no record\n"
        "       (internal.unforeseen)"
    )
