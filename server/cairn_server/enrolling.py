"""`enrol`: a clinic against a one-time token, inside the store's transaction.

Nothing is written until every check passed, and the token is used by the same transaction that
writes the clinic: of two who come with one token, one gets in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NoReturn

from sqlalchemy import Connection, insert, select, update

from cairn_protocol.enrolment.statements import JoinClaim
from cairn_protocol.errors import InputError
from cairn_server import store_tables as t
from cairn_server.store_tables import Clinic, StoredToken


def enrol(
    connection: Connection,
    claim: JoinClaim,
    now: datetime,
    enrol_node: Callable[[bytes], int],
) -> Clinic:
    """The clinic of `claim`, enrolled now; or as it was, where this very clinic repeats its call.

    Raises:
        InputError: `input.token-unknown`, `token-used`, `token-expired`, `token-name`,
            `name-enrolled`, `identity-enrolled`, `node-key-enrolled`,
            `node-key-revoked`.
    """
    clinics = [Clinic(**row._mapping) for row in connection.execute(select(t.clinics))]
    before = next((c for c in clinics if c.name == claim.clinic), None)
    token = _token(connection, claim)
    if token.used_at is not None:
        if before is not None and _is_repeat(before, claim):
            return before
        _refuse(
            "token-used",
            "this token was used already",
            why=f"on {token.used_at:%Y-%m-%d %H:%M} UTC; a token is good for one clinic, once",
            hint="ask the team for a new one; if nobody at this clinic used it, tell the team "
            "at once: somebody else did",
        )
    if now >= token.expires:
        _refuse(
            "token-expired",
            "this token has expired",
            why=f"on {token.expires:%Y-%m-%d %H:%M} UTC, by the server's clock",
            hint="ask the research team for a new one",
        )
    _check_others(claim, clinics)
    unused = (t.tokens.c.digest == claim.token, t.tokens.c.used_at.is_(None))
    if connection.execute(update(t.tokens).where(*unused).values(used_at=now)).rowcount != 1:
        _refuse("token-used", "this token was used a moment ago", hint="ask for a new one")
    node = enrol_node(claim.node_key)
    row = Clinic(claim.clinic, claim.identity, claim.node_key, node, "enrolled", now, None)
    if before:
        same = t.clinics.c.name == claim.clinic
        connection.execute(update(t.clinics).where(same).values(**vars(row)))
    else:
        connection.execute(insert(t.clinics).values(**vars(row)))
    return row


def _token(connection: Connection, claim: JoinClaim) -> StoredToken:
    found = connection.execute(select(t.tokens).where(t.tokens.c.digest == claim.token)).first()
    if found is None:
        _refuse(
            "token-unknown",
            "the research team's server does not know this token",
            hint="ask the team for a new one; it is made on the server with `cairn server enrol`",
        )
    token = StoredToken(**found._mapping)
    if token.clinic != claim.clinic:
        _refuse(
            "token-name",
            f"this token is for a clinic called {token.clinic}, and this one is {claim.clinic}",
            hint="set `name` in clinic.toml as the team has it, or ask the team for another token",
        )
    return token


def _is_repeat(before: Clinic, claim: JoinClaim) -> bool:
    """Whether this clinic joined and did not hear the reply."""
    return (
        before.state == "enrolled"
        and before.identity == claim.identity
        and before.node_key == claim.node_key
    )


def _check_others(claim: JoinClaim, clinics: Iterable[Clinic]) -> None:
    for other in clinics:
        if other.name == claim.clinic:
            if other.state == "enrolled":
                _refuse(
                    "name-enrolled",
                    f"a clinic called {claim.clinic} has joined already",
                    hint="ask the team: they revoke the old keys first, or choose another name",
                )
            if other.node_key == claim.node_key:
                _refuse(
                    "node-key-revoked",
                    "the key of this clinic's link was revoked, for ever",
                    hint="remove the folder link/ and join again with the same token; "
                    "a new key is made",
                )
            continue
        if other.identity == claim.identity:
            _refuse(
                "identity-enrolled",
                f"this clinic's identity has joined already, as {other.name}",
                hint="set that name in clinic.toml; a clinic of its own needs a folder of its own",
            )
        if other.node_key == claim.node_key:
            _refuse(
                "node-key-enrolled",
                f"the key of this clinic's link has joined already, as {other.name}",
                hint="folders were copied: remove link/node.key here and join again",
            )


def _refuse(code: str, what: str, *, why: str = "", hint: str) -> NoReturn:
    raise InputError(what, code=code, why=why, hint=hint)
