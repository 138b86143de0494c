"""The automaton: the table is complete, the real runs obey it, and SPEC.md prints it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.errors import OurFault, PeerFault
from cairn_protocol.fixed_point import encode
from cairn_protocol.messages import (
    Closed,
    CloseRun,
    Confirmation,
    KeyPackage,
    OpenRun,
    Packages,
    RoundRequest,
    Upload,
)
from cairn_protocol.states import TRANSITIONS, Role, State, step

SPEC = Path(__file__).resolve().parents[2] / "protocol" / "SPEC.md"
SENT = (OpenRun, KeyPackage, Packages, Confirmation, RoundRequest, Upload, CloseRun, Closed)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("message", SENT)
def test_every_pair_outside_the_table_is_refused(role, state, message):
    after = TRANSITIONS[role].get((state, message))
    if after is not None:
        assert step(role, state, message) is after
        return
    with pytest.raises((PeerFault, OurFault)) as refused:
        step(role, state, message)
    assert refused.value.code.endswith(".out-of-order")


@pytest.mark.parametrize("role", Role)
def test_every_state_is_reached_and_closing_is_final(role):
    reached = {State.NEW}
    for _ in State:
        reached |= {after for (state, _), after in TRANSITIONS[role].items() if state in reached}
    assert reached >= set(State) - {State.ANSWERED}
    assert not [state for state, _ in TRANSITIONS[role] if state is State.CLOSED]


class Driver:
    """Real runs brought to any state, with a real message of each kind to throw at them."""

    def __init__(self, federate, state: State) -> None:
        self.federation = federation = federate(3).opened()
        self.packages = federation.server.packages()
        context = federation.context()
        twin = federate(3).agreed()
        self.request = twin.request(twin.context())
        self.context = context
        run = federation.runs[0]
        if state is not State.OPENED:
            for clinic, other in enumerate(federation.runs):
                federation.server.receive(clinic, other.confirm(self.packages, bytes(32)))
            self.request = federation.request(context)
        if state in (State.ASKED, State.ANSWERED):
            run.accept(self.request, context)
        if state is State.ANSWERED:
            run.upload(self.request, self.ring())
        if state is State.CLOSED:
            run.close(self.closing())
        self.run = run

    def ring(self):
        return encode(np.arange(5), reach=9, modulus_bits=64)

    def closing(self) -> CloseRun:
        return CloseRun(self.federation.opening.run, "done")

    def throw(self, message) -> None:
        match message:
            case _ if message is Packages:
                self.run.confirm(self.packages, bytes(32))
            case _ if message is RoundRequest:
                self.run.accept(self.request, self.context)
            case _ if message is CloseRun:
                self.run.close(self.closing())


@pytest.mark.parametrize("state", [s for s in State if s is not State.NEW])
@pytest.mark.parametrize("message", [Packages, RoundRequest, CloseRun])
def test_a_real_clinic_refuses_what_the_table_refuses(federate, refuses, state, message):
    driver = Driver(federate, state)
    assert isinstance(driver.run, ClinicRun)
    assert driver.run.state is state
    if (state, message) not in TRANSITIONS[Role.CLINIC]:
        with refuses("peer.out-of-order", driver.run):
            driver.throw(message)
    elif (state, message) != (State.ASKED, RoundRequest) and state is not State.ANSWERED:
        driver.throw(message)
        assert driver.run.state is TRANSITIONS[Role.CLINIC][(state, message)]


def test_a_real_server_refuses_what_comes_early_or_late(federate, refuses):
    federation = federate(3)
    run, package = federation.open(0)
    state = np.zeros(3, dtype="<f4").tobytes()
    with refuses("internal.out-of-order", federation.server):
        federation.server.request(federation.context(), state)
    with refuses("internal.out-of-order", federation.server):
        federation.server.total()
    federation = federate(3).agreed()
    _, package = federation.open(0)
    with refuses("peer.out-of-order", federation.server):
        federation.server.receive(0, package)
    with refuses("internal.out-of-order", federation.server):
        federation.server.packages()
    del run


def test_the_spec_prints_this_table():
    rows = re.findall(r"^\| (clinic|server) \| (\w+) \| (\w+) \| (\w+) \|$", SPEC.read_text(), re.M)
    printed = {tuple(row) for row in rows}
    assert printed == {
        (role.value, state.value, message.__name__, after.value)
        for role, table in TRANSITIONS.items()
        for (state, message), after in table.items()
    }
