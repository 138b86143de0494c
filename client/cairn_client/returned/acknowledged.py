"""`Acknowledged`: which flag a person has looked at, and when; sealed, and only ever added to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cairn_client.seal import Seal
from cairn_client.sealed_file import PartsFile
from cairn_protocol.errors import InputError, OurFault
from cairn_protocol.identity import Identity

FILE: Final = "acknowledged.sealed"
_MARK: Final = b"cairn acknowledged 1\n"


@dataclass(frozen=True)
class Acknowledgement:
    """A flag's id, who looked at it, and when (seconds since 1970)."""

    flag: str
    person: str
    at: int


class Acknowledged:
    """The acknowledgements in the folder `state` of the clinic with this identity."""

    def __init__(self, state: Path, identity: Identity) -> None:
        self._file = PartsFile(state / FILE, _MARK)
        self._seal = Seal(identity)

    def first(self) -> dict[str, Acknowledgement]:
        """The first acknowledgement of every flag that has one, by its id.

        Raises:
            InputError: the file was changed, cut off, or is another clinic's.
        """
        return {one.flag: one for one in reversed(self._all())}

    def add(self, new: Acknowledgement) -> None:
        """Adds one; the same person's word on the same flag again changes nothing.

        Raises:
            InputError: as `first`.
            OurFault: it cannot be written.
        """
        known = self._all()
        if any((one.flag, one.person) == (new.flag, new.person) for one in known):
            return
        sealed = [
            self._seal.seal(json.dumps(asdict(one)).encode(), *_place(index))
            for index, one in enumerate((*known, new))
        ]
        try:
            self._file.write(sealed)
        except OSError as error:
            raise OurFault(
                "what a person looked at could not be written down",
                code="acknowledgement-not-kept",
                why=error.strerror or type(error).__name__,
                hint="free disk space or mend the disk, then acknowledge again",
            ) from None

    def _all(self) -> list[Acknowledgement]:
        try:
            parts = [self._seal.open(p, *_place(i)) for i, p in enumerate(self._file.read())]
        except (ValueError, OSError) as error:
            raise InputError(
                f"{self._file.path} cannot be used",
                code="acknowledgements-damaged",
                why=str(error) if isinstance(error, ValueError) else error.strerror or "",
                hint="restore the clinic's newest backup of .cairn",
            ) from None
        return [Acknowledgement(**json.loads(part)) for part in parts]


def _place(index: int) -> tuple[bytes, ...]:
    return b"acknowledged", index.to_bytes(4, "big")
