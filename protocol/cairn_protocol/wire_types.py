"""Field types that several messages share, and `Signed`, a message that ends with a signature."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final, Self

from cairn_protocol.codec import Fixed, UInt
from cairn_protocol.identity import SIGNATURE_BYTES
from cairn_protocol.record import Message

RUN_BYTES: Final = 16
Run = Annotated[bytes, Fixed(RUN_BYTES)]
Hash = Annotated[bytes, Fixed(32)]
Clinic = Annotated[int, UInt(2)]  # index on the roster
Signature = Annotated[bytes, Fixed(SIGNATURE_BYTES)]
UNSIGNED: Final = bytes(SIGNATURE_BYTES)


@dataclass(frozen=True)
class Signed(Message):
    """A message whose last field is a signature on everything before it."""

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return self.body[:-SIGNATURE_BYTES]

    def with_signature(self, signature: bytes) -> Self:
        """The same message under another signature."""
        return replace(self, **{"signature": signature})
