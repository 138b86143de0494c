"""Many rounds: attempts, questions, restarts and the chain of transcripts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_protocol.messages import RoundRecord, decode, genesis
from cairn_protocol.progress import Progress
from cairn_protocol.server_run import ServerRun

ONES = np.ones((3, 2), dtype=np.int64)


def restart(federation, setup=1):
    """Server and keepers come back with what they stored: record and progress, no keys."""
    stored = [Progress.from_body(run.progress.body) for run in federation.runs]
    record = federation.server.record
    federation.server, federation.opening = ServerRun.open(
        federation.opening.run,
        federation.signed,
        federation.signed_roster,
        setup=setup,
        record=record,
    )
    federation.runs = []
    for clinic, progress in enumerate(stored):
        run, package = federation.open(clinic, progress=progress)
        federation.runs.append(run)
        federation.server.receive(clinic, package)
    packages = decode(federation.server.packages().to_bytes())
    for clinic, run in enumerate(federation.runs):
        federation.server.receive(clinic, run.confirm(packages, bytes(32)))
    return federation


def test_a_missing_clinic_makes_an_attempt_void_and_the_next_one_counts(three):
    three.round(ONES)
    context = three.context(round_=1, length=2)
    request = three.request(context)
    for clinic in (0, 1):  # clinic 2 never sees attempt 0
        three.server.receive(clinic, three.upload(clinic, request, context, ONES[clinic]))
    assert three.server.missing == (2,)
    assert three.round(ONES * 5, round_=1, attempt=1).tolist() == [15, 15]
    assert three.round(ONES, round_=2).tolist() == [3, 3]


def test_a_late_upload_of_a_void_attempt_is_refused(three, refuses):
    context = three.context(length=2)
    late = three.upload(0, three.request(context), context, ONES[0])
    three.request(three.context(length=2, attempt=1))
    with refuses("peer.header-differs", three.server):
        three.server.receive(0, late)


def test_questions_follow_the_study_and_never_go_back(three, refuses):
    three.round(ONES)
    three.round(ONES, question="error")
    context = three.context(question="effect", round_=1)
    with refuses("peer.round-past", three.runs[0]):
        three.runs[0].accept(three.request(context), context)


def test_a_question_starts_at_its_first_round(three, refuses):
    three.round(ONES)
    context = three.context(question="error", round_=1)
    with refuses("peer.round-order", three.runs[0]):
        three.runs[0].accept(three.request(context), context)


def test_a_round_is_not_skipped(three, refuses):
    three.round(ONES)
    context = three.context(round_=2)
    with refuses("peer.round-order", three.runs[0]):
        three.runs[0].accept(three.request(context), context)


def test_a_question_that_failed_may_be_left(three):
    three.round(ONES)
    context = three.context(round_=1, length=2)
    three.upload(0, three.request(context), context, ONES[0])
    assert three.round(ONES, question="error").tolist() == [3, 3]


class TestTranscript:
    @pytest.fixture
    def second(self, three):
        """The request for round 1, after a finished round 0."""
        three.round(ONES)
        return three.request(three.context(round_=1))

    def refused(self, refuses, three, code, request):
        with refuses(code, three.runs[0]):
            three.runs[0].accept(request, three.context(round_=1))

    def test_the_record_is_verified(self, three, second):
        three.runs[0].accept(second, three.context(round_=1))
        assert three.runs[0].progress.head == second.record[0].digest

    def test_confirmations_are_not_needed_again(self, second):
        assert second.confirmations == ()

    def test_without_the_record(self, three, second, refuses):
        self.refused(refuses, three, "peer.transcript-differs", replace(second, record=()))

    def test_a_round_that_was_never_finished(self, three, second, refuses):
        header = replace(second.header, previous=genesis(three.opening.run))
        request = replace(second, header=header, record=())
        self.refused(refuses, three, "peer.transcript-differs", request)

    def test_a_record_that_the_header_does_not_name(self, three, second, refuses):
        record = replace(second.record[0], header=bytes(32))
        self.refused(refuses, three, "peer.transcript-differs", replace(second, record=(record,)))

    def test_a_record_where_none_belongs(self, three, refuses):
        # Round 0 follows no round; attempt 0 was void, so attempt 1 follows none either.
        record = RoundRecord(bytes(32), ())
        for attempt in (0, 1):
            context = three.context(attempt=attempt)
            request = three.request(context)
            with refuses("peer.transcript-differs", three.runs[0]):
                three.runs[0].accept(replace(request, record=(record,)), context)
            three.upload(0, request, context, np.arange(5))

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda u: (u[0], replace(u[1], vector=bytes(32)), u[2]), "record-forged"),
            (lambda u: (u[0], u[1], replace(u[2], signature=bytes(64))), "record-forged"),
            (lambda u: (replace(u[0], vector=bytes(32)), u[1], u[2]), "transcript-differs"),
            (lambda u: u[:2], "transcript-differs"),
            (lambda u: (u[0], u[2], u[1]), "transcript-differs"),
        ],
    )
    def test_a_forged_record(self, three, second, refuses, change, code):
        record = replace(second.record[0], uploads=change(second.record[0].uploads))
        header = replace(second.header, previous=record.digest)
        request = replace(second, header=header, record=(record,))
        self.refused(refuses, three, f"peer.{code}", request)

    def test_a_record_of_another_round(self, three, second, refuses):
        record = replace(second.record[0], header=bytes(32))
        header = replace(second.header, previous=record.digest)
        request = replace(second, header=header, record=(record,))
        self.refused(refuses, three, "peer.transcript-differs", request)


class TestRestart:
    def test_a_run_goes_on_after_a_restart(self, three):
        assert three.round(ONES).tolist() == [3, 3]
        old = three.server.record
        restart(three)
        assert three.server.transcript == old.digest
        assert three.round(ONES * 2, round_=1).tolist() == [6, 6]
        restart(three, setup=2)
        assert three.round(ONES * 3, round_=2).tolist() == [9, 9]

    def test_a_round_is_not_answered_again_after_a_restart(self, three, refuses):
        three.round(ONES)
        restart(three)
        context = three.context()
        request = three.request(context)
        with refuses("peer.round-past", three.runs[0]):
            three.runs[0].accept(request, context)

    def test_keys_are_new(self, three):
        before = [bytes(root) for root in three.runs[0]._roots.values()]
        restart(three)
        assert not set(before) & {bytes(root) for root in three.runs[0]._roots.values()}

    @pytest.mark.parametrize("setup", [0, 1])
    def test_an_older_setup_is_refused(self, three, refuses, setup):
        progress = replace(three.runs[0].progress, setup=1)
        with refuses("peer.setup-past"):
            three.open(0, replace(three.opening, setup=setup), progress=progress)

    def test_progress_of_another_run_is_refused(self, three, refuses):
        progress = Progress.fresh(b"r" * 16, 0)
        with refuses("peer.setup-past"):
            three.open(0, replace(three.opening, setup=1), progress=progress)

    def test_ledger_heads_of_all_clinics_are_seen(self, three):
        three.round(ONES)
        assert three.runs[0].heads == tuple(bytes([clinic]) * 32 for clinic in range(3))


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_any_schedule_gives_plain_sums_or_nothing(federate, data):
    # Rounds with void attempts, lost clinics and restarts, against the plain integer sum.
    federation = federate(3).agreed()
    setup, question, round_, attempt = 0, "effect", 0, 0
    finished = []
    for _ in range(data.draw(st.integers(1, 6))):
        values = st.lists(st.integers(-1000, 1000), min_size=2, max_size=2)
        vectors = np.array([data.draw(values) for _ in range(3)])
        answering = data.draw(st.sampled_from([(0, 1, 2), (0, 1, 2), (0, 1, 2), (1,), (0, 2)]))
        context = federation.context(round_, attempt, question, length=2)
        request = federation.request(context)
        for clinic in answering:
            reply = federation.upload(clinic, request, context, vectors[clinic])
            federation.server.receive(clinic, reply)
        if len(answering) == 3:
            assert federation.server.total().tolist() == vectors.sum(axis=0).tolist()
            finished.append((question, round_))
            round_, attempt = round_ + 1, 0
        else:
            attempt += 1
        if data.draw(st.booleans()):
            setup += 1
            restart(federation, setup)
        if question == "effect" and finished and data.draw(st.integers(0, 4)) == 0:
            question, round_, attempt = "error", 0, 0
    assert len(finished) == len(set(finished))
