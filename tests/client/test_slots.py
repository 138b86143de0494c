"""When a reply leaves says nothing of how long it took, within a slot."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn_client.slots import Slots
from cairn_protocol.codec import framed
from cairn_protocol.messages import KINDS, AuditRequest, OpenRun, RoundRequest

ASKED = framed(RoundRequest.kind, b"")
TIMED = {OpenRun.kind, RoundRequest.kind, AuditRequest.kind}


class Clock:
    """A clock that only sleeping and work move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def left_after(work: float, slot: float, request: bytes = ASKED) -> float:
    clock = Clock()
    slots = Slots(slot, clock=clock, sleep=clock.sleep)
    arrived = slots.arrived()
    clock.now += work
    slots.leave(request, arrived)
    return clock.now - arrived


@given(st.floats(0, 0.2499), st.floats(0, 0.2499))
def test_two_sums_within_a_slot_leave_at_one_time(few, many):
    assert left_after(few, 0.25) == pytest.approx(left_after(many, 0.25), abs=1e-9) == 0.25


@given(st.floats(0, 20))
def test_a_reply_leaves_at_the_end_of_the_slot_in_which_it_was_ready(work):
    left = left_after(work, 0.5)
    assert work <= left + 1e-9
    assert left / 0.5 == pytest.approx(round(left / 0.5), abs=1e-6)
    assert left - work <= 0.5 + 1e-9


def test_a_head_of_the_audit_log_leaves_at_one_time_too():
    assert left_after(0.2, 0.25, framed(AuditRequest.kind, b"")) == pytest.approx(0.25)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - TIMED))
def test_what_reads_no_record_does_not_wait(kind):
    assert left_after(0.01, 0.25, framed(kind, b"")) == pytest.approx(0.01)


@pytest.mark.parametrize("request_", [b"", b"CAIRN", b"garbage of some length"])
def test_what_is_no_message_does_not_wait(request_):
    assert left_after(0.01, 0.25, request_) == pytest.approx(0.01)


def test_a_clinic_hears_in_its_own_log_that_its_slot_is_short(caplog):
    with caplog.at_level(logging.INFO, "cairn.keeper"):
        left_after(0.6, 0.25)
    assert "took 3 slots of 0.25 s" in caplog.text
