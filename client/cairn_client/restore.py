"""Taking a restored clinic up again: two people answer for what its ledger may lack.

A backup brings back a ledger that knows less than was spent. Once another clinic has shown it so,
the clinic answers nothing (`own_mark.py`, rule L8 of the ledger). Here one person says what may be
missing and another agrees; then it is charged at its worst case, and the keeper's boots count on
from where the lost ones were, so that the other clinics know this machine for the newer one.

The keeper must not run meanwhile: it holds the files.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from cairn_client.askable import askable, study_cap
from cairn_client.audit_log.kinds import event
from cairn_client.audit_log.log import AuditLog
from cairn_client.charged import study_account
from cairn_client.clinic_config import DEFAULT_DELTA
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper_store import KeeperStore
from cairn_client.reviewer_proof import proved
from cairn_privacy.accounting import RHO_UNIT, epsilon_of_rho
from cairn_privacy.blocks import Blocks
from cairn_privacy.chain import Account, verify_export
from cairn_privacy.ledger import Ledger
from cairn_privacy.links import Restore, StudyAccount
from cairn_protocol.errors import CairnError, InputError
from cairn_protocol.mark import Mark
from cairn_protocol.study import Study

Password = Callable[[], str]
BOOTS_AHEAD: Final = 1_000_000  # more boots than any lost copy has had since its backup


@dataclass(frozen=True)
class Cost:
    """What a gap costs the patients of one study: ε of what is charged, by its name."""

    study: str
    who: str
    epsilon: float


@dataclass(frozen=True)
class Gap:
    """What may be missing: who has answered for it so far, and what is charged once two have.

    `everything_until` is a quarter, or empty where every study was named.
    """

    by: tuple[str, ...]
    costs: tuple[Cost, ...]
    everything_until: str


def propose(
    clinic: ClinicFolder,
    by: str,
    *,
    files: Sequence[Path],
    everything: bool,
    today: date,
    password: Password | None = None,
) -> Gap:
    """One person's word on what the ledger may lack.

    Args:
        by: their account's name, or where the clinic has none their own.
        files: study files that were approved since the backup was made; those that were offered
            before are known.
        everything: nobody can name all studies that were approved since. Then all is charged that
            patients who have entered until `today`'s quarter had left.
        password: asks for the account's; called only where the clinic has accounts.

    Raises:
        InputError: the keeper runs, another user's files, or no person.
        PolicyRefusal: the password is wrong.
    """
    with _at_rest(clinic) as (store, ledger):
        by = _proved(store, by, password)
        for account in (*_offered(store), *_named(files)):
            ledger.declare(account)
        restore = ledger.propose_restore(by, everything=everything, today=today)
        known = verify_export(ledger.export())
        with AuditLog.of(clinic) as audit:
            audit.append(event("restore-proposed", person=restore.by))
        return Gap((restore.by,), _costs(known, known.worst_case()), _until(restore))


def agree(clinic: ClinicFolder, by: str, *, password: Password | None = None) -> Gap:
    """A second person's agreement; the gap is charged and the clinic goes on.

    Args: as `propose`.

    Raises:
        PolicyRefusal: nobody proposed, the same person did, or the password is wrong.
        InputError: the keeper runs, or another user's files.
    """
    with _at_rest(clinic) as (store, ledger):
        by = _proved(store, by, password)
        mark = _own_mark(clinic, store)
        seen = [behind.epoch for behind in ledger.behind] + ([mark.epoch] if mark else [])
        epoch = max(store.epoch, ledger.latest_epoch, *seen) + BOOTS_AHEAD
        store.skip_to(epoch)  # first: a crash in between costs numbers only
        adopted = ledger.adopt_restore(by, epoch=epoch)
        known, restore = verify_export(ledger.export()), adopted.restore
        with AuditLog.of(clinic) as audit:
            audit.append(event("restored", persons=f"{restore.by} and {adopted.by}"))
        return Gap((restore.by, adopted.by), _costs(known, adopted.charged), _until(restore))


@contextmanager
def _at_rest(clinic: ClinicFolder) -> Iterator[tuple[KeeperStore, Ledger]]:
    """Store and ledger of a clinic whose keeper does not run, the shown mark made known to both."""
    check_owner(clinic)
    with closing(KeeperStore.of(clinic)) as store, clinic.ledger() as ledger:
        if (mark := _own_mark(clinic, store)) is not None:
            ledger.witness(mark.ledger_head, mark.epoch)
        yield store, ledger


def check_owner(clinic: ClinicFolder) -> None:
    """Refuses another user than the one whose files the clinic's are.

    Raises:
        InputError: `input.restore-user`.
    """
    owner = clinic.state.stat().st_uid
    if os.geteuid() != owner:
        raise InputError(
            "the clinic's files belong to another user",
            code="restore-user",
            hint=f"run this as {_user(owner)}, so that the keeper can open them afterwards",
        )


def _proved(store: KeeperStore, by: str, password: Password | None) -> str:
    """Who answers: where the clinic has accounts, one of them, against its password."""
    if not store.accounts():
        return by
    given = password() if password is not None else ""
    return proved(store, by, given, int(time.time())).name


def _own_mark(clinic: ClinicFolder, store: KeeperStore) -> Mark | None:
    """The mark of this clinic's own that another one showed it, and that it did not follow."""
    public = clinic.identity().public
    return store.marks([public]).get(public)


def _offered(store: KeeperStore) -> Iterator[StudyAccount]:
    """Every study that was ever offered and could be answered here: any may have been approved."""
    for offered in store.offers():
        study = offered.signed.study()
        try:
            asked = askable(study, len(offered.roster.roster))
        except CairnError:
            continue  # so it was never answered either
        if study.noised:
            yield study_account(study, study_cap(study, asked), offered.signed.team)


def _named(files: Sequence[Path]) -> Iterator[StudyAccount]:
    for file in files:
        study = Study.read(file)
        if study.noised:
            asked = askable(study, study.policy.clinics)
            yield study_account(study, study_cap(study, asked), b"")


def _costs(known: Account, charged: Sequence[tuple[str, int]]) -> tuple[Cost, ...]:
    delta = known.terms.delta if known.terms else DEFAULT_DELTA
    return tuple(
        Cost(
            known.studies[study].name,
            known.studies[study].blocks.words(),
            epsilon_of_rho(units * RHO_UNIT, delta),
        )
        for study, units in charged
    )


def _until(restore: Restore) -> str:
    return Blocks.up_to(restore.last).last_name if restore.everything else ""


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
