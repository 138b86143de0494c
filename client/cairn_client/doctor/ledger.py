"""`ledger`: whether every charge is still there, others remember no more, and how much is left."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from cairn_client.clinic_folder import LEDGER
from cairn_client.doctor.daemons import KeeperWord
from cairn_client.doctor.databases import held, reading
from cairn_client.doctor.finding import Finding, ok, problem, refused, unchecked, warning
from cairn_client.doctor.site import Site
from cairn_privacy.accounting import RHO_UNIT, epsilon_of_rho, rho_for
from cairn_privacy.chain import Account, damaged, verify_export
from cairn_privacy.durable import HeadCopy
from cairn_privacy.ledger_file import head_path
from cairn_protocol.errors import CairnError, InputError

NEARLY: Final = 0.9  # of the cap
_SAME_CAP: Final = 1 + 1e-9  # as the ledger compares
RESTORE: Final = (
    "stop the other machine, if there is one; if a backup was restored: cairn clinic ledger restore"
)


def ledger(site: Site, keeper: KeeperWord) -> Iterator[Finding]:
    """The chain link by link, its head's second copy, the witness of other clinics, the cap."""
    if keeper.status is not None and keeper.status.stopped:
        yield problem(
            "policy.set-back",
            "this clinic's state is older than what other clinics have seen of it",
            why="a backup was restored, or another machine holds this clinic's identity",
            remedy=RESTORE,
        )
    try:
        account = _account(site, keeper)
    except CairnError as error:
        yield refused(error)
        return
    except OSError:
        yield unchecked("ledger.chain", "only the keeper's user may read the ledger")
        return
    if account is None:
        yield unchecked("ledger.chain", "nothing was charged yet")
        return
    yield ok("ledger.chain", f"{account.head.number:,} links of the ledger follow from each other")
    yield _witness(account)
    yield from _cap(site, account)


def _account(site: Site, keeper: KeeperWord) -> Account | None:
    """What the ledger says, by the keeper that runs or else by its file; None: there is none."""
    if keeper.answers:
        return verify_export(keeper.lines) if keeper.lines else None
    file = site.state / LEDGER
    if not file.is_file():
        return None
    if held(file):  # by a keeper that does not answer this user; it changes while it is read
        raise PermissionError
    account = Account()
    try:
        with reading(file) as database:
            rows = database.execute("SELECT number, body, hash FROM chain ORDER BY number")
            for number, body, digest in rows:
                account.adopt(account.check(number, body, digest))
    except (sqlite3.Error, UnicodeDecodeError, TypeError) as error:
        raise damaged(type(error).__name__) from None
    copied = HeadCopy(head_path(file)).read()
    if account.terms is None or copied is None or not account.contains(copied):
        raise damaged("its last charges are missing")
    return account


def _witness(account: Account) -> Finding:
    if account.missing:
        return problem(
            "policy.ledger-behind",
            "this clinic's ledger is older than what other clinics have seen of it",
            why=f"{len(account.missing)} heads that it signed are not in it",
            remedy=RESTORE,
        )
    return ok("ledger.witness", "no other clinic has shown a charge that is not in it")


def _cap(site: Site, account: Account) -> Iterator[Finding]:
    terms = account.terms
    if terms is None:
        return
    asked = rho_for(site.config.cap_epsilon, site.config.delta)
    if asked > terms.cap_units * RHO_UNIT * _SAME_CAP:
        error = InputError(
            "a ledger's privacy cap cannot be raised",
            code="cap-raised",
            why=f"it was set to ε = {terms.cap_epsilon:g} at δ = {terms.delta:g}",
            hint="set the clinic's cap_epsilon (and delta) to that, or lower",
        )
        yield refused(error)
        return
    spent = account.spent * RHO_UNIT
    share = spent / asked
    told = f"ε = {epsilon_of_rho(spent, terms.delta) if spent else 0:.3g} of "
    told += f"{site.config.cap_epsilon:g} spent for the patients who were charged most"
    if share >= NEARLY:
        yield warning(
            "ledger.cap",
            told,
            why=f"{100 * max(0.0, 1 - share):.0f} % are left",
            remedy="approve no further study of these patients; cairn clinic ledger shows what "
            "is left for whom",
        )
    else:
        yield ok("ledger.cap", told)
