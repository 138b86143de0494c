"""`KeeperStore`: a keeper's state on disk: team, offers, decisions, reviewers, other clinics, runs.

    S1  What a reply depends on is on disk before the reply leaves: SQLite, WAL, synchronous=FULL.
    S2  A run's place and the reply for it change in one transaction, so that no crash leaves an
        upload that the clinic does not know of. A place never moves back.
    S3  A team's key is pinned once. Decisions, and who is verified, are appended, never changed.
    S4  Opening counts a boot, and draws 16 random bytes that tell it from a copy's. Roots live in
        one boot's memory, so the count is the key epoch.
    S5  One process at a time: the database is locked for as long as it is open.
    S6  After a failed write nothing is answered until the keeper is restarted.
    S7  Places, replies and reviewers' accounts are sealed with the clinic's key, each in its own
        row: one that was changed or moved from outside stops the store. All are looked at on
        opening.

No record, no count and no vector in clear is in it: the kept uploads are masked.
"""

from __future__ import annotations

from typing import Final, Self

from cairn_client.clinic_folder import KEEPER, ClinicFolder
from cairn_client.clinic_policy import PolicyFile
from cairn_client.store_peers import PeerStore
from cairn_client.store_reviewers import ReviewerStore
from cairn_client.store_runs import RunStore
from cairn_client.store_trail import TrailStore

FILE: Final = KEEPER


class KeeperStore(RunStore, PeerStore, ReviewerStore, TrailStore):
    """An open store; see `KeeperState` for the part that the keeper uses."""

    @classmethod
    def of(cls, clinic: ClinicFolder) -> Self:
        """The clinic's store.

        Raises:
            InputError: another process has it open, it is damaged or changed, or another clinic's.
        """
        store = cls(clinic.state / FILE, clinic.identity())
        store.approvals_needed = PolicyFile(clinic).approvals
        return store
