"""What stands in for a clinic's ledger and pins where its code is examined on synthetic records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cairn_client.door import Door
from cairn_client.entry_pins import EntryPins
from cairn_models.records import Records
from cairn_privacy.ledger import Ledger


@dataclass
class Receipts:
    """Stands in for a ledger: remembers charges, allows them all, and what came before what."""

    rhos: list[float] = field(default_factory=list)
    read_before_charge: bool = False

    def reserve(self, **charge: Any) -> int:
        """The number of this charge."""
        self.rhos.append(float(charge["rho"]))
        return len(self.rhos)

    def records(self, records: Records) -> Callable[[], Records]:
        """A way to `records` that notices if it is used before the charge."""

        def read() -> Records:
            self.read_before_charge |= not self.rhos
            return records

        return read


class Pins:
    """Stands in for a clinic's pinned quarters of entry: each patient's own, never looked up."""

    def hold(self, entered: Mapping[str, Any]) -> Mapping[str, Any]:
        """The quarters as they were given."""
        return entered


def door_of(records: Records, receipts: Receipts | None = None) -> Door:
    """A real door over `records`; `receipts` remember what its answers charge."""
    book = receipts or Receipts()
    return Door(book.records(records), cast(Ledger, book), cast(EntryPins, Pins()))
