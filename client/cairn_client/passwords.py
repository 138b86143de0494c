"""A reviewer's password as its Argon2id hash: made, compared, brought up to today's cost.

RFC 9106, section 4, second recommended option: 64 MiB, 3 passes, 4 lanes, a salt of 128 bits. The
parameters stand in the hash (PHC string), so that a hash made at another cost can be compared, and
be made again at this one when its password is at hand.
"""

from __future__ import annotations

import os
import re
import unicodedata
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from cairn_protocol.errors import InputError

SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
SHORTEST: Final = 12  # characters
LONGEST: Final = 1024
FEWEST_DIFFERENT: Final = 5
SHORTEST_NAME: Final = 4  # that is looked for in a password; "al" is in many a word
_PHC: Final = re.compile(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$")


class Cost(NamedTuple):
    """What one guess costs."""

    memory_kib: int
    passes: int
    lanes: int


COST: Final = Cost(memory_kib=64 * 1024, passes=3, lanes=4)


def hash_of(password: str, cost: Cost | None = None) -> str:
    """The password's hash under a new salt, with its parameters."""
    memory_kib, passes, lanes = cost or COST
    derive = Argon2id(
        salt=os.urandom(SALT_BYTES),
        length=HASH_BYTES,
        iterations=passes,
        lanes=lanes,
        memory_cost=memory_kib,
    )
    return derive.derive_phc_encoded(_bytes(password))


def matches(password: str, known: str) -> bool:
    """Whether `known` is the password's hash; compared in constant time."""
    try:
        Argon2id.verify_phc_encoded(_bytes(password), known)
    except InvalidKey:
        return False
    return True


def is_dated(known: str) -> bool:
    """Whether a hash was made at another cost than today's."""
    found = _PHC.match(known)
    return found is None or Cost(*map(int, found.groups())) != COST


def check_password(name: str, password: str) -> None:
    """Refuses a password that is soon guessed.

    Raises:
        InputError: `input.password-weak`.
    """
    told = unicodedata.normalize("NFKC", password)
    if len(told) < SHORTEST:
        why = f"it has fewer than {SHORTEST} characters"
    elif len(told) > LONGEST:
        why = f"it has more than {LONGEST} characters"
    elif len(set(told)) < FEWEST_DIFFERENT:
        why = f"it has fewer than {FEWEST_DIFFERENT} different characters"
    elif len(name) >= SHORTEST_NAME and name in told.casefold():
        why = "the name is in it"
    else:
        return
    raise InputError(
        "this password cannot be used",
        code="password-weak",
        why=why,
        hint="four words that do not belong together are long enough, and can be remembered",
    )


def _bytes(password: str) -> bytes:
    """The same for every keyboard that types it."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
