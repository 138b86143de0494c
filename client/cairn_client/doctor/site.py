"""`Site`: the clinic that is examined, and `limited`, which holds each step to its time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from cairn_client.clinic_config import ClinicConfig

Value = TypeVar("Value")
STEP_SECONDS: Final = 3.0  # for a name, a connection, an answer
STEPS: Final = 4  # of one call, at most: the proxy's answer, two handshakes, the answer


@dataclass(frozen=True)
class Site:
    """A clinic's folder with its configuration. Checks read; none makes or changes a file of it
    but the disk's, which removes its own.
    """

    path: Path
    config: ClinicConfig
    seconds: float = STEP_SECONDS

    @property
    def state(self) -> Path:
        """What Cairn keeps for the clinic; it may not be there."""
        return self.path / ".cairn"

    @property
    def link(self) -> Path:
        """The link's folder; it may not be there."""
        return self.path / "link"

    @property
    def joined(self) -> bool:
        """Whether the clinic has joined a research team's server, as far as this user can see."""
        try:
            return (self.link / "link.toml").is_file()
        except PermissionError:
            return self.can_see(self.state / "team.pub")

    @staticmethod
    def can_see(file: Path) -> bool:
        """Whether the file is there and this user may know it."""
        try:
            return file.is_file()
        except OSError:
            return False


def limited(call: Callable[[], Value], seconds: float) -> Value:
    """What `call` returns or raises, if it does so in time.

    Name look-ups know no time limit of their own, and a peer that sends a byte now and then
    outlasts every limit on a single read. A call that is late is left behind in its thread.

    Raises:
        TimeoutError: it took longer.
    """
    returned: list[Value] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(call())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not returned:
        raise TimeoutError
    return returned[0]
