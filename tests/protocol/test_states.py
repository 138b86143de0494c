"""The automaton: the table is complete, the real runs obey it, and SPEC.md prints and draws it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.errors import OurFault, PeerFault
from cairn_protocol.fixed_point import encode
from cairn_protocol.messages import (
    Certificate,
    Closed,
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
from cairn_protocol.states import TRANSITIONS, Role, State, step

SPEC = Path(__file__).resolve().parents[2] / "protocol" / "SPEC.md"
SETUP = (OpenRun, KeyPackage, Packages, Confirmation)
ROUND = (RoundRequest, Upload, Survivors, Consent, Certificate, Opening)
SENT = (*SETUP, *ROUND, CloseRun, Closed)
PASSED = {State.NAMED, State.CERTIFIED}  # a clinic leaves these by the reply, at once


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
    assert reached >= {state for state, _ in TRANSITIONS[role]}
    assert role is Role.SERVER or reached == set(State)
    assert not [state for state, _ in TRANSITIONS[role] if state is State.CLOSED]
    leaving = {state for (state, message) in TRANSITIONS[role] if message is CloseRun}
    assert leaving >= reached - {State.NEW, State.CLOSED} - PASSED


PATH = {
    State.AGREED: Packages,
    State.ASKED: RoundRequest,
    State.ANSWERED: Upload,
    State.SIGNED: Survivors,
    State.REVEALED: Certificate,
}


class Driver:
    """Clinic 0, really brought to a state; clinic 5 is lost, so that there is a certificate.

    `whole`: it is not, and survivors are opened at once.
    """

    def __init__(self, federate, *, whole: bool = False) -> None:
        self.federation = federate(6, dropout="recovered", survivors=4).opened()
        self.server, self.run = self.federation.server, self.federation.runs[0]
        self.there = range(6) if whole else range(5)
        self.attempt, self.context, self.messages = 0, None, {}

    def reach(self, state: State) -> Driver:
        """Along the path to `state`."""
        for kind in PATH.values():
            if self.run.state is state:
                return self
            self.throw(kind)
        if state is State.CLOSED:
            self.throw(CloseRun)
        assert self.run.state is state
        return self

    def throw(self, kind, *, deaf: bool = False) -> None:
        """The server's message of this kind, at clinic 0 (unless `deaf`) and at the others.

        Of `Upload`, which no message brings about, the uploads themselves.
        """
        if kind is Upload:
            for clinic in self.there:
                run, ring = self.federation.runs[clinic], encode(RING, reach=9, modulus_bits=64)
                upload = run.upload(self.messages[clinic], ring, self.federation.mark(clinic))
                self.server.receive(clinic, upload)
            return
        self.messages = self._made(kind)
        for clinic, message in self.messages.items():
            if clinic == 0 and deaf:
                continue
            reply = answer(self.federation.runs[clinic], message, self.context)
            if reply is not None and kind is not CloseRun:
                self.server.receive(clinic, reply)

    def _made(self, kind) -> dict:
        if kind is Packages:
            return dict.fromkeys(range(6), self.server.packages())
        if kind is RoundRequest:
            self.context = self.federation.context(attempt=self.attempt)
            self.attempt += 1
            return self.federation.requests(self.context)
        if kind is CloseRun:
            return {0: CloseRun(self.federation.opening.run, "done")}
        return self.server.survivors() if kind is Survivors else self.server.certificate()


def answer(run: ClinicRun, message, context):
    """What a clinic answers; None to a request, which it only accepts."""
    match message:
        case Packages():
            return run.confirm(message, {})
        case RoundRequest():
            return run.accept(message, context, bool) and None
        case Survivors():
            return run.survivors(message)
        case Certificate():
            return run.certify(message)
    return run.close(message)


RING = np.arange(5)
KINDS = (Packages, RoundRequest, Survivors, Certificate, CloseRun)


@pytest.fixture(scope="module")
def spare(federate) -> dict:
    """A well-formed message of every kind, of another federation in the same run."""
    driver, seen = Driver(federate), {}
    for kind in (*PATH.values(), CloseRun):
        driver.throw(kind)
        seen[kind] = driver.messages[0]
    return seen | {"context": driver.context}


@pytest.mark.parametrize("state", [s for s in State if s not in PASSED | {State.NEW}])
@pytest.mark.parametrize("message", KINDS)
def test_a_real_clinic_does_what_the_table_says(federate, refuses, spare, state, message):
    driver = Driver(federate).reach(state)
    after = TRANSITIONS[Role.CLINIC].get((state, message))
    if after is None:
        with refuses("peer.out-of-order", driver.run):
            answer(driver.run, spare[message], spare["context"])
        return
    if (state, message) == (State.ANSWERED, Certificate):
        driver.throw(Survivors, deaf=True)
    driver.throw(message)
    ends = {after, *(TRANSITIONS[Role.CLINIC].get((after, r)) for r in (Consent, Opening))}
    assert driver.run.state in ends - PASSED


def test_survivors_are_opened_at_once_where_nobody_was_lost(federate):
    driver = Driver(federate, whole=True).reach(State.ANSWERED)
    driver.throw(Survivors)
    assert driver.run.state is State.REVEALED
    assert driver.server.certificate() == {}
    assert driver.server.total().tolist() == [0, 6, 12, 18, 24]


def test_a_real_server_refuses_what_comes_early_or_late(federate, refuses):
    federation = federate(3)
    run, package = federation.open(0)
    state = np.zeros(3, dtype="<f4").tobytes()
    for early in (
        lambda: federation.server.request(federation.context(), state),
        federation.server.total,
        lambda: federation.server.close("x") and federation.server.close("again"),
    ):
        with pytest.raises(OurFault) as refused:
            early()
        assert refused.value.code == "internal.out-of-order"
    federation = federate(3).agreed()
    _, package = federation.open(0)
    with refuses("peer.out-of-order", federation.server):
        federation.server.receive(0, package)
    with refuses("internal.out-of-order", federation.server):
        federation.server.packages()
    assert run.state is State.OPENED


def test_a_clinic_whose_keys_are_gone_answers_nothing(federate, spare):
    driver = Driver(federate).reach(State.ASKED)
    driver.run.erase()
    for kind in KINDS:
        with pytest.raises(PeerFault, match="closed"):
            answer(driver.run, spare[kind], spare["context"])


def rows() -> list[tuple[str, str, str, str]]:
    """The table of section 10."""
    found = re.findall(
        r"^\| (clinic|server) \| (\w+) \| (\w+) \| (\w+) \|$", SPEC.read_text(), re.M
    )
    return [tuple(row) for row in found]


def coded() -> list[tuple[str, str, str, str]]:
    return [
        (role.value, state.value, message.__name__, after.value)
        for role, table in TRANSITIONS.items()
        for (state, message), after in table.items()
    ]


def test_the_spec_prints_this_table():
    assert rows() == coded()


def diagram(role: Role) -> str:
    """The table of one role in Mermaid's words, without closing, which is always possible."""
    lines = ["stateDiagram-v2"]
    grouped: dict[tuple[str, str], list[str]] = {}
    for name, state, message, after in coded():
        if name == role.value and message != "CloseRun":
            grouped.setdefault((state, after), []).append(message)
    for (state, after), messages in grouped.items():
        start = "[*]" if state == "new" else state
        lines.append(f"    {start} --> {after}: {', '.join(messages)}")
    return "\n".join(lines)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("page", [SPEC, SPEC.parents[1] / "docs" / "architecture.md"])
def test_the_diagrams_are_drawn_from_this_table(role, page):
    if page != SPEC and role is Role.SERVER:
        return
    assert f"```mermaid\n{diagram(role)}\n```" in page.read_text()
