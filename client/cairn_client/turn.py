"""`Turn`: who may read records now: a request from the server, or a view of the clinic's people.

One at a time. A training round holds the turn for as long as it takes, and a view that waited for
its end would take up a thread of the keeper's, on which people pause and leave. So views wait for
seconds at most, only a few of them at once, and are refused otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from cairn_protocol.errors import InputError

VIEW_SECONDS: Final = 5.0
MOST_VIEWS: Final = 4  # that wait, or look


class Turn:
    """A context manager: `with turn` waits for as long as it takes.

    Args:
        seconds: for which a view waits.
    """

    def __init__(self, seconds: float = VIEW_SECONDS) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._views = threading.BoundedSemaphore(MOST_VIEWS)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextmanager
    def viewing(self) -> Iterator[None]:
        """The turn, for what people look at.

        Raises:
            InputError: `input.keeper-busy`, it cannot be had soon.
        """
        if not self._views.acquire(blocking=False):
            raise _busy()
        try:
            if not self._lock.acquire(timeout=self.seconds):
                raise _busy()
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._views.release()


def _busy() -> InputError:
    return InputError(
        "the keeper is busy with the records",
        code="keeper-busy",
        why="it is answering a round, or somebody else is looking at what it works out from them",
        hint="try again in a moment; a study can be paused meanwhile",
    )
