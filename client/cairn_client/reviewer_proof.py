"""`proved`: the account whose password was given; wrong ones make an account wait.

A wrong password is counted, on disk, before it is compared: neither a restart nor many calls at
once give a guess that is not counted. From the fifth on the account waits half a minute, then
twice as long each time, up to a quarter of an hour: at most 100 guesses a day, and whoever wants
to keep a reviewer out has to come back all the time.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import Final

from cairn_client import passwords
from cairn_client.store_reviewers import LONGEST_NAME, Account, ReviewerStore
from cairn_protocol.errors import InputError, PolicyRefusal

FREE_FAILURES: Final = 4
FIRST_WAIT: Final = 30  # seconds
LONGEST_WAIT: Final = 900
_NAME: Final = re.compile(r"\w[\w .'@-]*")


def name_of(typed: str) -> str:
    """A reviewer's name as it is kept: the same whatever the case.

    Raises:
        InputError: `input.reviewer-name`.
    """
    name = unicodedata.normalize("NFKC", typed).strip().casefold()
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise InputError(
            "this is no name for an account",
            code="reviewer-name",
            why=f"it has letters, digits, spaces and .'@_-, at most {LONGEST_NAME}, and begins "
            "with a letter or a digit",
            hint="for example anna, or anna.meier",
        )
    return name


def proved(store: ReviewerStore, typed: str, password: str, now: int) -> Account:
    """The account of that name, if the password is its own. One call at a time.

    Args:
        now: seconds since 1970.

    Raises:
        PolicyRefusal: `policy.sign-in-refused`, `policy.sign-in-waits`.
    """
    account = store.account(_known(typed))
    if account is None:
        passwords.hash_of(password)  # as long as a comparison
        raise _refused()
    wait = min(account.waits_until - now, LONGEST_WAIT)
    if wait > 0:
        raise PolicyRefusal(
            f"{account.name} has to wait",
            code="sign-in-waits",
            why=f"{account.failures} passwords were wrong; the next is looked at in {wait} s",
            hint="if it was not you who tried, tell whoever looks after this machine",
        )
    failures = min(account.failures + 1, (1 << 16) - 1)
    counted = replace(account, failures=failures, waits_until=now + wait_after(failures))
    store.put_account(counted)
    if not passwords.matches(password, account.secret):
        raise _refused()
    secret = passwords.hash_of(password) if passwords.is_dated(account.secret) else account.secret
    right = replace(account, secret=secret, failures=0, waits_until=0)
    store.put_account(right)
    return right


def wait_after(failures: int) -> int:
    """Seconds for which an account waits after so many wrong passwords in a row."""
    beyond = failures - FREE_FAILURES
    return min(FIRST_WAIT << min(beyond - 1, 10), LONGEST_WAIT) if beyond > 0 else 0


def _known(typed: str) -> str:
    try:
        return name_of(typed)
    except InputError:
        return ""


def _refused() -> PolicyRefusal:
    return PolicyRefusal(
        "name or password is wrong",
        code="sign-in-refused",
        hint="a forgotten password: docs/clinic-policy.md, 'A forgotten password'",
    )
