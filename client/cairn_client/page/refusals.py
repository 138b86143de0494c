"""`Refused`: why a page is not shown, with its HTTP status."""

from __future__ import annotations

from typing import Final

from cairn_protocol.errors import (
    BudgetRefusal,
    CairnError,
    InputError,
    OurFault,
    PeerFault,
    PolicyRefusal,
)

_STATUS: Final[dict[type[CairnError], int]] = {
    InputError: 400,
    PolicyRefusal: 403,
    BudgetRefusal: 409,
    PeerFault: 502,
    OurFault: 500,
}
_BY_CODE: Final = {
    "input.keeper-unreachable": 503,
    "input.keeper-busy": 503,
    "internal.keeper-call": 503,
    "policy.study-unknown": 404,
    "policy.roster-changed": 409,
}


class Refused(Exception):
    """A page that is not shown. `error` says what, why and what to do."""

    def __init__(self, status: int, error: CairnError) -> None:
        super().__init__(error.code)
        self.status = status
        self.error = error

    @classmethod
    def of(cls, error: CairnError) -> Refused:
        """An error of the keeper's, or of a form."""
        return cls(_BY_CODE.get(error.code, _STATUS.get(type(error), 500)), error)


def no_such_page() -> Refused:
    """There is nothing under this address."""
    return Refused(
        404, InputError("there is no such page", code="page-none-here", hint="see the menu")
    )
