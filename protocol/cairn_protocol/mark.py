"""`Mark`: a clinic's signed word on where it stands; the other clinics keep it and show it back.

A machine that was restored from a backup, or copied, carries a place that its identity has left
since. It cannot know that by itself; its peers can, from the newest mark that they kept.  # SPEC 3
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Final, Self

from cairn_protocol.codec import Fixed, UInt
from cairn_protocol.identity import PUBLIC_BYTES, SIGNATURE_BYTES, Identity, verify
from cairn_protocol.record import Record

BOOT_BYTES: Final = 16
NO_HEAD: Final = bytes(32)  # `ledger_head` of a clinic whose data are public


@dataclass(frozen=True)
class Mark(Record):
    """`epoch` counts the boots of a keeper, `boot` tells two with one count apart.

    `ledger_head` is the SHA-256 head of the clinic's ledger when it signed, 32 bytes; zeros where
    nothing is charged.
    """

    label: ClassVar[str] = "mark"

    identity: Annotated[bytes, Fixed(PUBLIC_BYTES)]
    epoch: Annotated[int, UInt(8)]
    boot: Annotated[bytes, Fixed(BOOT_BYTES)]  # random, of this boot
    ledger_head: Annotated[bytes, Fixed(32)]
    signature: Annotated[bytes, Fixed(SIGNATURE_BYTES)]

    @classmethod
    def sign(cls, identity: Identity, epoch: int, boot: bytes, ledger_head: bytes) -> Self:
        """The mark of `identity`'s boot number `epoch`, whose ledger ends in `ledger_head`."""
        unsigned = cls(identity.public, epoch, boot, ledger_head, bytes(SIGNATURE_BYTES))
        return replace(unsigned, signature=identity.sign("mark", unsigned._signed))

    @property
    def _signed(self) -> bytes:
        return self.body[:-SIGNATURE_BYTES]

    def genuine(self) -> bool:
        """Whether the identity that it names signed it."""
        return verify(self.identity, "mark", self._signed, self.signature)

    def follows(self, earlier: Mark) -> bool:
        """Whether one machine that was never set back may show `earlier` and then this.

        It may within one boot and from a boot to a later one. An earlier boot, or another boot
        with the same count, is a restored or copied machine's.
        """
        if self.identity != earlier.identity:
            return False
        if self.epoch == earlier.epoch:
            return self.boot == earlier.boot
        return self.epoch > earlier.epoch
