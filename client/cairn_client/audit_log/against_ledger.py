"""`compared`: whether every upload in an audit log was paid for, by the clinic's privacy ledger."""

from __future__ import annotations

from dataclasses import dataclass

from cairn_client.audit_log.chain import Entry, altered
from cairn_client.audit_log.export import Verified
from cairn_privacy.chain import Account


@dataclass(frozen=True)
class Compared:
    """Uploads, by what the ledger says of them.

    Args:
        paid: with a charge of their own, of the amount that the log names.
        public: without one, of public data.
        unsent: charges with an upload that was prepared and is not in the log: it never left, or
            left after the log was exported, or before it was begun.
    """

    paid: int
    public: int
    unsent: int


def compared(log: Verified, ledger: Account) -> Compared:
    """The uploads of `log` beside the charges of `ledger`; both were verified.

    Raises:
        LogAltered: they are two clinics', or an upload was not charged as the log says.
    """
    if ledger.terms is None or ledger.terms.clinic != log.whose.clinic:
        raise altered("the ledger is another clinic's")
    paid: set[str] = set()
    charged = {e.upload: e for e in ledger.entries.values() if e.state == "committed"}
    public = 0
    for entry in log.of("upload"):
        upload = str(entry.fields["upload"])
        if not entry.fields["charge"] and upload not in charged:
            public += 1
            continue
        _check(entry, ledger)
        if upload in paid:
            raise altered(f"entry {entry.number} is an upload that left before")
        paid.add(upload)
    return Compared(len(paid), public, len(charged.keys() - paid))


def _check(entry: Entry, ledger: Account) -> None:
    said = entry.fields
    charge = ledger.entries.get(int(said["charge"]))
    names = ("study", "run", "question", "round", "attempt", "units", "upload")
    if charge is None or any(getattr(charge, name) != said[name] for name in names):
        raise altered(f"the ledger has no such charge for the upload in entry {entry.number}")
