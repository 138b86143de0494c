"""`reconcile`: what a crash left undecided in the ledger, settled by what the state kept."""

from __future__ import annotations

from cairn_client.keeper_state import KeeperState
from cairn_privacy.ledger import Ledger
from cairn_privacy.links import Entry
from cairn_protocol.progress import NOTHING, Progress

SAT_OUT = "the keeper stopped before an upload was kept; nothing was sent"


def reconcile(ledger: Ledger, state: KeeperState) -> None:
    """Commits a reservation whose upload was kept and may have left; voids every other.

    A reply leaves only after it was kept, so a reservation that the run's place does not name as
    answered cannot have left anything. Its ρ stays spent all the same.
    """
    for entry in ledger.pending():
        place = state.place(bytes.fromhex(entry.run))
        if place is not None and _answered(place.progress, entry):
            ledger.commit(entry.number, place.progress.answer)
        else:
            ledger.void(entry.number, SAT_OUT)


def _answered(here: Progress, entry: Entry) -> bool:
    same = (here.question, here.round, here.attempt) == entry.name[2:]
    return same and here.answer != NOTHING
