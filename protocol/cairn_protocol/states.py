"""`TRANSITIONS`: the whole automaton of a run, for both roles, in one table.

What is not in the table is refused. Repeats of a message that was already answered do not pass
here: they get the stored reply. SPEC 10 prints this table; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from cairn_protocol.codec import refuse
from cairn_protocol.errors import OurFault
from cairn_protocol.messages import (
    Certificate,
    CloseRun,
    Confirmation,
    Consent,
    KeyPackage,
    Opening,
    OpenRun,
    Packages,
    RoundRequest,
    Survivors,
    Upload,
)
from cairn_protocol.record import Message


class Role(Enum):
    """Whose automaton."""

    CLINIC = "clinic"
    SERVER = "server"


class State(Enum):
    """Where a run stands, seen from one side."""

    NEW = "new"
    OPENED = "opened"  # keys made, T1 not known
    AGREED = "agreed"  # T1 fixed
    ASKED = "asked"  # a header is open
    ANSWERED = "answered"  # this clinic's upload exists
    NAMED = "named"  # survivors are named
    SIGNED = "signed"  # this clinic signed survivors that are not all participants
    CERTIFIED = "certified"  # the signatures on the survivors are together
    REVEALED = "revealed"  # this clinic opened its shares
    CLOSED = "closed"  # keys erased


_CLINIC: Final[dict[tuple[State, type[Message]], State]] = {
    (State.NEW, OpenRun): State.OPENED,
    (State.OPENED, Packages): State.AGREED,
    (State.AGREED, RoundRequest): State.ASKED,
    (State.ASKED, RoundRequest): State.ASKED,
    (State.ASKED, Upload): State.ANSWERED,
    (State.ANSWERED, RoundRequest): State.ASKED,
    (State.ANSWERED, Survivors): State.NAMED,
    (State.ANSWERED, Certificate): State.CERTIFIED,  # this clinic missed `Survivors`
    (State.NAMED, Opening): State.REVEALED,
    (State.NAMED, Consent): State.SIGNED,
    (State.SIGNED, RoundRequest): State.ASKED,
    (State.SIGNED, Certificate): State.CERTIFIED,
    (State.CERTIFIED, Opening): State.REVEALED,
    (State.REVEALED, RoundRequest): State.ASKED,
    (State.OPENED, CloseRun): State.CLOSED,
    (State.AGREED, CloseRun): State.CLOSED,
    (State.ASKED, CloseRun): State.CLOSED,
    (State.ANSWERED, CloseRun): State.CLOSED,
    (State.SIGNED, CloseRun): State.CLOSED,
    (State.REVEALED, CloseRun): State.CLOSED,
}
_SERVER: Final[dict[tuple[State, type[Message]], State]] = {
    (State.NEW, OpenRun): State.OPENED,
    (State.OPENED, KeyPackage): State.OPENED,
    (State.OPENED, Packages): State.AGREED,
    (State.AGREED, Confirmation): State.AGREED,
    (State.AGREED, RoundRequest): State.ASKED,
    (State.ASKED, RoundRequest): State.ASKED,
    (State.ASKED, Upload): State.ASKED,
    (State.ASKED, Survivors): State.NAMED,
    (State.NAMED, RoundRequest): State.ASKED,
    (State.NAMED, Opening): State.NAMED,
    (State.NAMED, Consent): State.NAMED,
    (State.NAMED, Certificate): State.CERTIFIED,
    (State.CERTIFIED, RoundRequest): State.ASKED,
    (State.CERTIFIED, Opening): State.CERTIFIED,
    (State.OPENED, CloseRun): State.CLOSED,
    (State.AGREED, CloseRun): State.CLOSED,
    (State.ASKED, CloseRun): State.CLOSED,
    (State.NAMED, CloseRun): State.CLOSED,
    (State.CERTIFIED, CloseRun): State.CLOSED,
}
TRANSITIONS: Final[Mapping[Role, Mapping[tuple[State, type[Message]], State]]] = {
    Role.CLINIC: _CLINIC,
    Role.SERVER: _SERVER,
}
SENDER: Final[Mapping[type[Message], Role]] = {
    OpenRun: Role.SERVER,
    KeyPackage: Role.CLINIC,
    Packages: Role.SERVER,
    Confirmation: Role.CLINIC,
    RoundRequest: Role.SERVER,
    Upload: Role.CLINIC,
    Survivors: Role.SERVER,
    Consent: Role.CLINIC,
    Certificate: Role.SERVER,
    Opening: Role.CLINIC,
    CloseRun: Role.SERVER,
}


def step(role: Role, state: State, message: type[Message]) -> State:
    """The state after `message`.

    Raises:
        PeerFault: `peer.out-of-order`, the other side sent what does not come now.
        OurFault: `internal.out-of-order`, our own caller asked for what does not come now.
    """
    after = TRANSITIONS[role].get((state, message))
    if after is None:
        what = f"{message.__name__} does not come when the run is {state.value}"
        if SENDER.get(message) is role:
            raise OurFault(what, code="out-of-order")
        refuse("out-of-order", what)
    return after
