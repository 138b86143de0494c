"""`issue_token`: a new one-time token for a clinic; the store keeps its hash."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final

from cairn_protocol.enrolment.statements import token_hash
from cairn_protocol.enrolment.token import SECRET_BYTES, JoinToken, authority_pin
from cairn_protocol.errors import InputError
from cairn_protocol.roster import CLINIC_NAME
from cairn_server.home import ServerHome
from cairn_server.pki import der
from cairn_server.store import Store
from cairn_server.store_tables import StoredToken

DEFAULT_DAYS: Final = 7
MOST_DAYS: Final = 30


def issue_token(
    home: ServerHome, store: Store, clinic: str, now: datetime, *, days: float = DEFAULT_DAYS
) -> JoinToken:
    """A token with which `clinic` may join, once, within `days` of `now`.

    Raises:
        InputError: `input.clinic-name`, `input.token-days`, `input.name-enrolled`.
    """
    if not CLINIC_NAME.fullmatch(clinic):
        raise InputError(
            f"{clinic!r} cannot be a clinic's name",
            code="clinic-name",
            hint="lower-case letters, digits and hyphens, for example north-street",
        )
    if not 0 < days <= MOST_DAYS:
        raise InputError(
            f"a token cannot live {days:g} days",
            code="token-days",
            hint=f"more than 0 and at most {MOST_DAYS}",
        )
    secret = secrets.token_bytes(SECRET_BYTES)
    expires = (now + timedelta(days=days)).replace(microsecond=0)
    store.add_token(StoredToken(token_hash(secret), clinic, now, expires, None))
    return JoinToken(
        secret=secret,
        authority=authority_pin(der(home.authority_certificate())),
        host=home.config.hosts[0],
        port=home.config.registry.port,
        expires=expires,
    )
