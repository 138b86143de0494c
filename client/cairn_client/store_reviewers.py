"""`ReviewerStore`: the accounts of a clinic's reviewers, each sealed in its own row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from cairn_client.store_base import StoreBase
from cairn_protocol.codec import Text, UInt
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.record import Record

MOST_REVIEWERS: Final = 50
LONGEST_NAME: Final = 63


@dataclass(frozen=True)
class Account(Record):
    """A reviewer. `secret` is the password's hash; `failures` wrong ones since the last right one.

    Times are seconds since 1970. Nobody signs in before `waits_until`.
    """

    label: ClassVar[str] = "reviewer account"

    name: Annotated[str, Text(4 * LONGEST_NAME)]
    secret: Annotated[str, Text(256)]
    added_at: Annotated[int, UInt(8)]
    added_by: Annotated[str, Text(4 * LONGEST_NAME)]
    failures: Annotated[int, UInt(2)] = 0
    waits_until: Annotated[int, UInt(8)] = 0


class ReviewerStore(StoreBase):
    """Accounts by name."""

    def accounts(self) -> tuple[Account, ...]:
        """Every account, by name."""
        with self._reading():
            rows = self._database.execute("SELECT name, account FROM reviewers ORDER BY name")
            return tuple(self._account(*row) for row in rows.fetchall())

    def account(self, name: str) -> Account | None:
        """The account with this name."""
        key = name.encode()
        with self._reading():
            row = self._one("SELECT account FROM reviewers WHERE name = ?", key)
            return None if row is None else self._account(key, row[0])

    def add_account(self, account: Account) -> None:
        """Keeps a new account.

        Raises:
            PolicyRefusal: the name has one, or there are too many.
        """
        with self._writing():
            if self.account(account.name) is not None:
                raise PolicyRefusal(
                    f"{account.name} has an account already",
                    code="reviewer-exists",
                    hint="`cairn clinic reviewer list` shows every one",
                )
            (count,) = self._one("SELECT count(*) FROM reviewers")
            if count >= MOST_REVIEWERS:
                raise PolicyRefusal(
                    f"this clinic has {MOST_REVIEWERS} accounts already",
                    code="too-many-reviewers",
                    hint="remove those of people who have left",
                )
            self._put(account)

    def put_account(self, account: Account) -> None:
        """Keeps an account as it is now, in place of what was kept of it.

        Raises:
            PolicyRefusal: it was removed.
        """
        with self._writing():
            if self.account(account.name) is None:
                raise unknown_reviewer(account.name)
            self._put(account)

    def remove_account(self, name: str) -> None:
        """Takes an account away.

        Raises:
            PolicyRefusal: there is none.
        """
        with self._writing():
            if self.account(name) is None:
                raise unknown_reviewer(name)
            self._database.execute("DELETE FROM reviewers WHERE name = ?", (name.encode(),))

    def _put(self, account: Account) -> None:
        key = account.name.encode()
        blob = self._sealed(account.body, "reviewers", key)
        self._database.execute("INSERT OR REPLACE INTO reviewers VALUES (?, ?)", (key, blob))

    def _account(self, name: bytes, blob: bytes) -> Account:
        return Account.from_body(self._unsealed(blob, "reviewers", name))


def unknown_reviewer(name: str) -> PolicyRefusal:
    """The refusal where nobody has an account of this name."""
    return PolicyRefusal(
        f"no reviewer here is called {name!r}",
        code="reviewer-unknown",
        hint="`cairn clinic reviewer list` shows every one",
    )
