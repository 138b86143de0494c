"""`Locks`: what keeps anything about a single patient from being shown; all must be open.

L1  the clinic's policy.toml says `courses = true`
L2  the study says `courses = true` under [release], is approved here, and its model came back
L3  a person has signed in
"""

from __future__ import annotations

from collections.abc import Callable

from cairn_client.store_offers import Offered
from cairn_protocol.errors import PolicyRefusal


class Locks:
    """Asked before any patient's record is read.

    Args:
        allowed: whether the clinic's policy allows courses, as it stands now.
        person_of: who signed in under a session's token; raises where nobody did.
    """

    def __init__(self, allowed: Callable[[], bool], person_of: Callable[[str], str]) -> None:
        self._allowed = allowed
        self._person_of = person_of

    def closed(self, offered: Offered | None, *, has_model: bool) -> str:
        """The first of L1 and L2 that is closed, in words; empty: both are open."""
        if not self._allowed():  # L1
            return "this clinic's policy.toml does not say courses = true"
        if offered is None:  # L2
            return "no study that trained a model has come back"
        study = offered.signed.study()
        if not study.release.courses:
            return f"the study {study.name!r} does not say courses = true under [release]"
        if offered.state != "approved":
            return f"the study {study.name!r} is not approved here: it is {offered.state}"
        if not has_model:
            return f"no model of the study {study.name!r} has come back"
        return ""

    def person(self, session: str, offered: Offered | None, *, has_model: bool) -> str:
        """Who looks, once every lock is open.

        Raises:
            PolicyRefusal: `policy.courses-off`, or nobody has signed in.
        """
        if why := self.closed(offered, has_model=has_model):
            raise PolicyRefusal(
                "this clinic shows no patient's expected course",
                code="courses-off",
                why=why,
                hint="docs/clinic-results.md says what turns it on, and who should decide that",
            )
        if not session:  # L3
            raise PolicyRefusal(
                "patients are shown to a reviewer who has signed in, and to nobody else",
                code="session-needed",
                hint="sign in with an account; `cairn clinic reviewer add` makes one",
            )
        return self._person_of(session)
