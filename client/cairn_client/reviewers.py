"""`Reviewers`: who may decide for a clinic, and who has signed in to do so.

A1  The first account needs no session: whoever may enter the folder of admin.sock may make it.
    From then on only a reviewer makes or removes one.
A2  Where two approvals are needed and two accounts exist, two reviewers make or remove one:
    else one of them could make the second whose approval is missing.
A3  Where a clinic has accounts, whoever decides has signed in. Where it has none, they are
    whom they say, and no two approvals can be counted.
A4  The last account stays: a clinic that has accounts has them from then on.
A5  An account whose password changed, or that was removed, has no session.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from cairn_client.passwords import check_password, hash_of
from cairn_client.reviewer_proof import name_of, proved
from cairn_client.sessions import Sessions
from cairn_client.store_reviewers import Account, ReviewerStore, unknown_reviewer
from cairn_protocol.errors import InputError, PolicyRefusal

LONGEST_PERSON: Final = 100  # of a name that nobody proves
TWO: Final = 2


@dataclass(frozen=True)
class Decider:
    """Who decides; `account` where they have signed in."""

    name: str
    account: bool


class Reviewers:
    """The reviewers of one clinic.

    Args:
        store: where their accounts are.
        approvals: how many a study needs, by policy.toml as it stands.
        sessions: who has signed in.
        now: seconds since 1970.
    """

    def __init__(
        self,
        store: ReviewerStore,
        approvals: Callable[[], int],
        sessions: Sessions | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._now = store, now
        self.approvals = approvals
        self._sessions = sessions or Sessions()
        self._one = threading.Lock()  # guess at a time, and change of an account

    def accounts(self) -> tuple[Account, ...]:
        """Every account, by name."""
        return self._store.accounts()

    def person_of(self, session: str) -> str:
        """The reviewer who signed in under this session's token.

        Raises:
            PolicyRefusal: `policy.session-needed`, `policy.session-ended`.
        """
        person = self._sessions.person_of(session)
        if self._store.account(person) is None:
            raise unknown_reviewer(person)
        return person

    def decider(self, session: str, person: str) -> Decider:
        """Who decides (A3): the session's reviewer, or in a clinic without accounts `person`.

        Raises:
            PolicyRefusal: as `person_of`.
            InputError: nobody is named.
        """
        if session or self._store.accounts():
            return Decider(self.person_of(session), account=True)
        said = person.strip()
        if not said or not said.isprintable():
            raise InputError("somebody has to decide", code="decision", hint="give --person")
        return Decider(said[:LONGEST_PERSON], account=False)

    def sign_in(self, name: str, password: str) -> tuple[str, str, float]:
        """A session's token, the reviewer's name, and the seconds for which it holds unused.

        Raises:
            PolicyRefusal: `policy.sign-in-refused`, `policy.sign-in-waits`.
        """
        with self._one:
            account = self._proved(name, password)
            token, seconds = self._sessions.begin(account.name)
        return token, account.name, seconds

    def sign_out(self, session: str) -> None:
        """Ends a session."""
        self._sessions.end(session)

    def add(self, name: str, password: str, session: str = "", second: str = "") -> Account:
        """The new account.

        Raises:
            InputError: no name, or a weak password.
            PolicyRefusal: A1 or A2, or the name has an account.
        """
        with self._one:
            by = self._allowed(session, second)
            wanted = name_of(name)
            check_password(wanted, password)
            account = Account(wanted, hash_of(password), int(self._now()), by)
            self._store.add_account(account)
            return account

    def remove(self, name: str, session: str, second: str = "") -> None:
        """Takes an account away, and its sessions.

        Raises:
            InputError: no name.
            PolicyRefusal: A1, A2 or A4, or there is no such account.
        """
        with self._one:
            self._allowed(session, second)
            gone = name_of(name)
            if [account.name for account in self._store.accounts()] == [gone]:  # A4
                raise PolicyRefusal(
                    f"{gone} is the last reviewer",
                    code="last-reviewer",
                    why="without an account anybody who may enter the keeper's folder would decide",
                    hint="make another account first",
                )
            self._store.remove_account(gone)
            self._sessions.end_all_of(gone)  # A5

    def change_password(self, name: str, password: str, wanted: str) -> None:
        """Gives an account another password, against the one until now.

        Raises:
            InputError: a weak password.
            PolicyRefusal: `policy.sign-in-refused`, `policy.sign-in-waits`.
        """
        with self._one:
            account = self._proved(name, password)
            check_password(account.name, wanted)
            self._store.put_account(replace(account, secret=hash_of(wanted)))
            self._sessions.end_all_of(account.name)  # A5

    def _proved(self, name: str, password: str) -> Account:
        return proved(self._store, name, password, int(self._now()))

    def _allowed(self, session: str, second: str) -> str:
        """Who makes or removes an account; empty: the first is made."""
        accounts = self._store.accounts()
        if not accounts:
            return ""  # A1
        person = self.person_of(session)
        if self.approvals() < TWO or len(accounts) < TWO:
            return person
        other = self.person_of(second) if second else person
        if other == person:  # A2
            raise PolicyRefusal(
                "two reviewers are needed for this",
                code="second-reviewer",
                why="policy.toml asks for two approvals, so an account is made or removed by two",
                hint="give the other's name with --second",
            )
        return person
