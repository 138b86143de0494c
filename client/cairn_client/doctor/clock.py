"""`clock`: whether this machine's clock agrees with the server's, and whether anything keeps it.

The server refuses a link whose clock is more than 5 s ahead or 300 s behind; enrolment and
certificates go by the clock too.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable, Iterator
from typing import Final

from cairn_client.doctor.finding import Finding, ok, problem, unchecked, warning
from cairn_client.link_trouble import MOST_AHEAD, MOST_BEHIND

NOTICEABLE: Final = 2.0  # seconds: an HTTP date is whole seconds, and an answer takes time
_UNSYNCHRONISED: Final = 5  # TIME_ERROR of adjtimex(2)
_TIMEX_BYTES: Final = 256  # struct timex has 208; zeros ask and change nothing
REMEDY: Final = "let the machine keep time by itself: timedatectl set-ntp true"


def clock(ahead: float | None, state: Callable[[], int | None] | None = None) -> Iterator[Finding]:
    """The clock against the server's, and the kernel's word on whether it is kept.

    Args:
        ahead: seconds by which this machine is ahead of the server; None: it was not reached.
        state: what adjtimex(2) says.
    """
    if ahead is None:
        yield unchecked("clock.server", "the server's time is not known here")
    elif not -MOST_BEHIND < ahead < MOST_AHEAD:
        way = "ahead of" if ahead > 0 else "behind"
        yield problem(
            "clock.server",
            f"this machine's clock is {abs(ahead):,.0f} seconds {way} the server's",
            why="the server answers nobody whose clock is that far off",
            remedy=f"{REMEDY}; if this clock is right, tell the research team",
        )
    elif abs(ahead) > NOTICEABLE:
        yield warning(
            "clock.server",
            f"this machine's clock is {abs(ahead):.0f} seconds off the server's",
            why=f"at {MOST_AHEAD:g} seconds ahead, or {MOST_BEHIND:g} behind, the server refuses",
            remedy=REMEDY,
        )
    else:
        yield ok("clock.server", "the clock agrees with the server's")
    kept = (state or kernel_state)()
    if kept is None:
        yield unchecked("clock.kept", "the system does not say whether its clock is kept")
    elif kept == _UNSYNCHRONISED:
        yield warning(
            "clock.kept",
            "nothing keeps this machine's clock",
            why="the kernel says that it is not synchronised",
            remedy=f"{REMEDY}; a virtual machine may get its time from its host instead",
        )
    else:
        yield ok("clock.kept", "the clock is kept by a time service")


def kernel_state() -> int | None:
    """What adjtimex(2) returns: 0–4 where the clock is kept, 5 where it is not; None: unknown."""
    if platform.system() != "Linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    answer: int = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if answer < 0 else answer
