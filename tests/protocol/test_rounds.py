"""Many rounds: dropout, attempts, questions, restarts and the chain of transcripts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cairn_protocol.errors import OurFault
from cairn_protocol.messages import RoundRecord, RoundRequest, decode, genesis
from cairn_protocol.progress import Progress
from cairn_protocol.server_run import ServerRun

ONES = np.ones((3, 2), dtype=np.int64)


def recovering(federate, clinics=4, survivors=3):
    """A federation that recovers from dropout and has agreed on its keys."""
    return federate(clinics, dropout="recovered", survivors=survivors).agreed()


def restart(federation, setup=1):
    """Server and keepers come back with what they stored: records and progress, no keys."""
    stored = [Progress.from_body(run.progress.body) for run in federation.runs]
    records = [RoundRecord.from_body(record.body) for record in federation.server.records]
    federation.server, federation.opening = ServerRun.open(
        federation.opening.run,
        federation.signed,
        federation.signed_roster,
        setup=setup,
        records=records,
    )
    federation.runs = []
    for clinic, progress in enumerate(stored):
        run, package = federation.open(clinic, progress=progress)
        federation.runs.append(run)
        federation.server.receive(clinic, package)
    packages = decode(federation.server.packages().to_bytes())
    for clinic, run in enumerate(federation.runs):
        federation.server.receive(clinic, run.confirm(packages, {}))
    return federation


def test_a_missing_clinic_makes_an_attempt_void_and_the_next_one_counts(three):
    three.round(ONES)
    three.ask(ONES, lost=(2,), round_=1)  # clinic 2 never sees attempt 0
    assert three.server.missing == (2,)
    assert not three.server.enough
    assert three.round(ONES * 5, round_=1, attempt=1).tolist() == [15, 15]
    assert three.round(ONES, round_=2).tolist() == [3, 3]


def test_a_late_upload_of_a_void_attempt_is_refused(three, refuses):
    context = three.context(length=2)
    late = three.upload(0, three.requests(context)[0], context, ONES[0])
    three.requests(three.context(length=2, attempt=1))
    with refuses("peer.header-differs", three.server):
        three.server.receive(0, late)


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        (("effect", 0), ("effect", 0), None),  # no record of round 0: the server stands still
        (("effect", 0), ("effect", 2), "peer.round-order"),
        (("effect", 0), ("error", 1), "peer.round-order"),
        (("error", 0), ("effect", 0), "peer.round-past"),
        (("error", 0), ("effect", 1), "peer.round-past"),
        (("effect", 0), ("cure", 0), "peer.question-unknown"),
    ],
)
def test_rounds_and_questions_follow_one_another(three, refuses, before, after, code):
    three.round(ONES, question=before[0], round_=before[1])
    context = three.context(question=after[0], round_=after[1])
    if code is None:
        with pytest.raises(OurFault):
            three.requests(context)
        return
    request = three.requests(context)[0]
    with refuses(code, three.runs[0]):
        three.runs[0].accept(request, context, bool)


def test_an_attempt_does_not_come_again(three, refuses):
    context = three.context(attempt=3)
    three.upload(0, three.requests(context)[0], context, np.arange(5))
    for attempt in (0, 2, 3):
        context = three.context(attempt=attempt)
        request = three.requests(context)[0]
        with refuses("peer.round-past", three.runs[0]):
            three.runs[0].accept(request, context, bool)


def test_a_question_that_failed_may_be_left(three):
    three.round(ONES)
    three.ask(ONES, lost=(1, 2), round_=1)
    assert three.round(ONES, question="error").tolist() == [3, 3]


class TestDropout:
    @pytest.mark.parametrize("lost", range(4))
    def test_the_others_are_summed(self, federate, lost):
        # Clinic k contributes 10^k: whoever is counted twice, or not, shows as a digit.
        federation = recovering(federate)
        vectors = np.array([[10**k, -(10**k)] for k in range(4)])
        expected = 1111 - 10**lost
        assert federation.round(vectors, lost=(lost,)).tolist() == [expected, -expected]
        assert federation.round(vectors, round_=1).tolist() == [1111, -1111]

    def test_any_t_openings_suffice_where_all_survived(self, federate):
        federation = recovering(federate, 5, 4)
        federation.ask(np.ones((5, 2), dtype=np.int64))
        assert federation.unmask(silent=(2,)).tolist() == [5, 5]
        assert federation.server.records[-1].consents == ()

    def test_a_loss_during_recovery_makes_the_round_void(self, federate):
        federation = recovering(federate)
        ones = np.ones((4, 2), dtype=np.int64)
        federation.ask(ones, lost=(3,))
        with pytest.raises(OurFault) as refused:
            federation.unmask(mute=(0,))
        assert refused.value.code == "internal.incomplete"
        assert federation.round(ones * 2, attempt=1).tolist() == [8, 8]

    def test_a_clinic_that_missed_rounds_walks_their_records_and_turns_its_keys(self, federate):
        federation = recovering(federate)
        ones = np.ones((4, 2), dtype=np.int64)
        federation.round(ones)
        for round_ in (1, 2, 3):  # clinic 3 is asked for nothing
            assert federation.round(ones, lost=(3,), round_=round_).tolist() == [3, 3]
        request = federation.requests(federation.context(round_=4))[3]
        assert [record.header.round for record in request.records] == [0, 1, 2, 3]
        assert federation.round(ones, round_=4, attempt=1).tolist() == [4, 4]

    def test_one_that_was_lost_after_its_upload_goes_on(self, federate):
        federation = recovering(federate)
        ones = np.ones((4, 2), dtype=np.int64)
        context = federation.context(length=2)
        for clinic, request in federation.requests(context).items():
            upload = federation.upload(clinic, request, context, ones[clinic])
            if clinic != 2:  # clinic 2's upload is lost on its way
                federation.server.receive(clinic, upload)
        assert federation.unmask().tolist() == [3, 3]
        assert federation.round(ones, round_=1).tolist() == [4, 4]

    def test_a_clinic_that_sent_no_package_sits_the_setup_out(self, federate):
        federation = federate(5, dropout="recovered", survivors=4).agreed(without=(1,))
        assert federation.server.participants == (0, 2, 3, 4)
        vectors = np.array([[10**k] for k in range(5)])
        assert federation.round(vectors).tolist() == [11101]
        with pytest.raises(OurFault, match="more clinics"):
            federate(5, dropout="recovered", survivors=4).opened(without=(1, 2)).server.packages()


class TestTranscript:
    @pytest.fixture
    def four(self, federate):
        """Four clinics, of which clinic 3 missed round 0."""
        federation = recovering(federate)
        federation.round(np.ones((4, 5), dtype=np.int64), lost=(3,))
        return federation

    @pytest.fixture
    def second(self, four):
        """Clinic 0's request for round 1."""
        return four.requests(four.context(round_=1))[0]

    @pytest.fixture
    def other(self, four):
        """Clinic 3's, which remembers nothing of round 0."""
        return four.requests(four.context(round_=1))[3]

    def refused(self, refuses, four, code, request, clinic=0):
        with refuses(code, four.runs[clinic]):
            four.runs[clinic].accept(request, four.context(round_=1), bool)

    def with_record(self, second, record):
        """The request of a server that keeps `record` for the truth."""
        return replace(
            second, header=replace(second.header, previous=record.digest), records=(record,)
        )

    def test_the_record_is_verified_and_remembered(self, four, second):
        four.runs[0].accept(second, four.context(round_=1), bool)
        assert four.runs[0].progress.head == second.records[0].digest
        assert {mark.identity for mark in four.runs[0].marks} == {
            four.identities[clinic].public for clinic in (1, 2)
        }

    def test_a_request_without_news_shows_no_mark_again(self, four, second):
        # Of one boot the mark that was shown last is kept: an old one, shown again, would replace
        # what another run has shown meanwhile.
        four.runs[0].accept(second, four.context(round_=1), bool)
        assert four.runs[0].marks
        again = four.requests(four.context(round_=1, attempt=1))[0]
        four.runs[0].accept(replace(again, records=()), four.context(round_=1, attempt=1), bool)
        assert four.runs[0].marks == ()

    def test_notes_are_sent_until_a_clinic_has_answered(self, four, second):
        assert second.notes == ()
        assert len(four.requests(four.context(round_=1, attempt=1))[3].notes) == 3

    def test_without_the_record(self, four, second, refuses):
        self.refused(refuses, four, "peer.round-order", replace(second, records=()))

    def test_a_round_that_was_never_finished(self, four, second, refuses):
        header = replace(second.header, previous=genesis(four.opening.run))
        request = replace(second, header=header, records=())
        self.refused(refuses, four, "peer.round-order", request)

    def test_a_record_that_the_header_does_not_name(self, four, second, refuses):
        header = replace(second.header, previous=bytes(32))
        self.refused(refuses, four, "peer.transcript-differs", replace(second, header=header))

    def test_records_that_do_not_follow_one_another(self, four, second, refuses):
        twice = replace(second, records=second.records * 2)
        self.refused(refuses, four, "peer.transcript-differs", twice)

    def test_a_record_of_another_run(self, four, other, refuses):
        record = other.records[0]
        record = replace(record, header=replace(record.header, run=b"r" * 16))
        forged = self.with_record(other, record)
        self.refused(refuses, four, "peer.run-foreign", forged, clinic=3)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda u: (u[0], replace(u[1], upload=bytes(32)), u[2]), "record-forged"),
            (lambda u: (u[0], u[1], replace(u[2], signature=bytes(64))), "record-forged"),
            (lambda u: (u[0], replace(u[1], mark=u[2].mark), u[2]), "record-forged"),
            (lambda u: u[:2], "transcript-differs"),
            (lambda u: (u[1], u[2], replace(u[2], clinic=3)), "transcript-differs"),
            (lambda u: (*u, replace(u[2], clinic=4)), "transcript-differs"),
        ],
    )
    def test_forged_uploads_in_a_record(self, four, other, refuses, change, code):
        record = replace(other.records[0], uploads=change(other.records[0].uploads))
        self.refused(refuses, four, f"peer.{code}", self.with_record(other, record), clinic=3)

    @pytest.mark.parametrize(
        "change",
        [
            lambda u: (replace(u[0], upload=bytes(32)), u[1], u[2]),  # not what it uploaded
            lambda u: (u[0], replace(u[1], upload=bytes(32)), u[2]),  # not what it signed
        ],
    )
    def test_a_record_that_this_clinic_remembers_otherwise(self, four, second, refuses, change):
        record = replace(second.records[0], uploads=change(second.records[0].uploads))
        forged = self.with_record(second, record)
        self.refused(refuses, four, "peer.transcript-differs", forged)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda c: c[:2], "transcript-differs"),
            (lambda c: (c[0], c[1], replace(c[2], clinic=3)), "transcript-differs"),
            (lambda c: (c[0], c[1], replace(c[2], signature=c[1].signature)), "record-forged"),
        ],
    )
    def test_forged_consents_in_a_record(self, four, second, refuses, change, code):
        record = replace(second.records[0], consents=change(second.records[0].consents))
        self.refused(refuses, four, f"peer.{code}", self.with_record(second, record))

    def test_a_record_of_a_round_that_this_clinic_was_not_asked(self, four, other, refuses):
        # A record that says that it uploaded is another machine's with its identity.
        record = other.records[0]
        mine = replace(record.uploads[2], clinic=3)
        record = replace(record, uploads=(*record.uploads, mine), consents=())
        forged = self.with_record(other, record)
        self.refused(refuses, four, "peer.transcript-differs", forged, clinic=3)

    def test_a_forged_history_at_the_end(self, four, refuses):
        closing = four.server.close("done")[0]
        record = closing.records[0]
        forged = replace(record, consents=record.consents[:2])
        with refuses("peer.transcript-differs", four.runs[0]):
            four.runs[0].close(replace(closing, records=(forged,)))
        assert four.runs[0].close(closing).run == closing.run


class TestRestart:
    def test_a_run_goes_on_after_a_restart(self, three):
        assert three.round(ONES).tolist() == [3, 3]
        old = three.server.transcript
        restart(three)
        assert three.server.transcript == old
        assert three.round(ONES * 2, round_=1).tolist() == [6, 6]
        restart(three, setup=2)
        assert three.round(ONES * 3, round_=2).tolist() == [9, 9]

    def test_a_round_is_not_answered_again_after_a_restart(self, three, refuses):
        three.round(ONES)
        restart(three)
        context = three.context()
        header = replace(three.requests(three.context(round_=1))[0], records=()).header
        stale = replace(
            header, round=0, context=context.digest, previous=genesis(three.opening.run)
        )
        notes = three.requests(three.context(round_=1))[0].notes
        request = RoundRequest(stale, np.zeros(3, dtype="<f4").tobytes(), notes)
        with refuses("peer.round-past", three.runs[0]):
            three.runs[0].accept(request, context, bool)

    def test_keys_are_new(self, three):
        three.round(ONES)
        before = three.runs[0]._roots.seeds(bytes(32)).values()
        restart(three)
        three.round(ONES, round_=1)
        assert not set(before) & set(three.runs[0]._roots.seeds(bytes(32)).values())

    def test_keys_turn_with_every_round_and_not_with_an_attempt(self, three):
        seen = []
        for round_, attempt in ((0, 0), (1, 0), (1, 1), (2, 0)):
            three.ask(
                ONES,
                lost=() if (round_, attempt) != (1, 0) else (2,),
                round_=round_,
                attempt=attempt,
            )
            seen.append(three.runs[0]._roots.seed(1, bytes(32)))
            if (round_, attempt) != (1, 0):
                three.server.total()
        assert seen[1] == seen[2]
        assert len(set(seen)) == 3

    @pytest.mark.parametrize("setup", [0, 1])
    def test_an_older_setup_is_refused(self, three, refuses, setup):
        progress = replace(three.runs[0].progress, setup=1)
        with refuses("peer.setup-past"):
            three.open(0, replace(three.opening, setup=setup), progress=progress)

    def test_progress_of_another_run_is_refused(self, three, refuses):
        progress = Progress.fresh(b"r" * 16, 0)
        with refuses("peer.setup-past"):
            three.open(0, replace(three.opening, setup=1), progress=progress)


@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_any_schedule_gives_plain_sums_or_nothing(federate, data):
    # Rounds with losses at every stage, void attempts and restarts, against the plain sum.
    federation = recovering(federate)
    setup, question, round_, attempt = 0, "effect", 0, 0
    finished = []
    away = st.sampled_from([(), (), (), (0,), (2,), (3,), (1, 2)])
    for _ in range(data.draw(st.integers(1, 6))):
        values = st.lists(st.integers(-1000, 1000), min_size=2, max_size=2)
        vectors = np.array([data.draw(values) for _ in range(4)])
        lost, silent, mute = data.draw(away), data.draw(away), data.draw(away)
        federation.ask(vectors, lost=lost, round_=round_, attempt=attempt, question=question)
        try:
            total = federation.unmask(silent=silent, mute=mute)
        except OurFault:
            assert len(lost) > 1 or len(silent) > 1 or (lost and (silent or mute))
            attempt += 1
        else:
            there = [clinic for clinic in range(4) if clinic not in lost]
            assert total.tolist() == vectors[there].sum(axis=0).tolist()
            finished.append((question, round_))
            round_, attempt = round_ + 1, 0
        if data.draw(st.booleans()):
            setup += 1
            restart(federation, setup)
        if question == "effect" and finished and data.draw(st.integers(0, 4)) == 0:
            question, round_, attempt = "error", 0, 0
    assert len(finished) == len(set(finished))
