"""`outward`: an error of this clinic's, as the server may hear it.

A refusal by a rule or of a fault of the other side keeps its words: they were written to leave.
What a person here has to mend does not: it would quote files and paths of this machine.
"""

from __future__ import annotations

from cairn_protocol.errors import BudgetRefusal, CairnError, InputError
from cairn_protocol.messages import Refusal


def outward(error: CairnError) -> Refusal:
    """The refusal that may leave for `error`."""
    match error:
        case BudgetRefusal():  # how much is left is the clinic's own business
            return Refusal(error.code, error.what, hint=error.hint)
        case InputError():
            return Refusal(
                error.code,
                "this clinic cannot answer before its people have mended something",
                hint="they see what with `cairn clinic doctor`",
            )
        case _:
            return Refusal.of(error)
