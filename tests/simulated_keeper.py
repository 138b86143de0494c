"""`Keeper`: a clinic of a simulated run: its run in memory, what it has stored, what it answers."""

from __future__ import annotations

from typing import Any

from cairn_protocol.errors import CairnError
from cairn_protocol.messages import (
    Certificate,
    CloseRun,
    OpenRun,
    Packages,
    RoundRequest,
    Survivors,
    Upload,
    decode,
)
from cairn_protocol.progress import Progress


class Keeper:
    """A clinic: its run in memory, and what it has stored."""

    def __init__(self, simulation: Any, clinic: int) -> None:
        self.simulation, self.clinic = simulation, clinic
        self.run = None
        self.stored: bytes | None = None
        self.epoch = 1
        self.seen = {}

    def restart(self) -> None:
        """Memory is gone; the next boot has what was stored."""
        self.run, self.epoch = None, self.epoch + 1

    def mark(self):
        boot = bytes((self.epoch,))
        return self.simulation.federation.mark(self.clinic, epoch=self.epoch, boot=boot)

    def answer(self, data: bytes) -> bytes | None:
        """The reply to a message; None: refused, which leaves no trace."""
        message = decode(data)
        before = self.simulation.snapshots(self.run) if self.run else None
        held = self.run
        try:
            reply = self.run.cached(message) if self.run else None
            reply = reply or self._reply(message)
        except CairnError:
            assert self.run is held
            assert before is None or self.simulation.snapshots(self.run) == before
            return None
        self.seen |= {mark.identity: mark for mark in self.run.marks}
        self.stored = self.run.progress.body
        self.simulation.witness(self.clinic, message, reply)
        return reply.to_bytes()

    def _reply(self, message):
        if isinstance(message, OpenRun):
            progress = Progress.from_body(self.stored) if self.stored else None
            opened = self.simulation.federation.open(
                self.clinic, message, progress=progress, mark=self.mark()
            )
            if self.run:
                self.run.erase()
            self.run, reply = opened
            return reply
        if self.run is None:
            raise CairnError("nothing is in memory", code="gone")
        match message:
            case Packages():
                return self.run.confirm(message, self.seen)
            case RoundRequest():
                return self._upload(message)
            case Survivors():
                return self.run.survivors(message)
            case Certificate():
                return self.run.certify(message)
            case CloseRun():
                return self.run.close(message)
            case _:
                raise AssertionError(message)

    def _upload(self, request: RoundRequest) -> Upload:
        header = request.header
        context = self.simulation.context(header.question, header.round, header.attempt)
        self.run.accept(request, context, lambda head: True)
        ring, vector = self.simulation.vector(self.clinic, context)
        upload = self.run.upload(request, ring, self.mark())
        self.simulation.vectors[header.digest, self.clinic] = vector
        return upload
