"""Rounds that go on without a clinic, at every phase; five keepers, four of which must answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from cairn_models.questions import KINDS
from cairn_models.questions.effect import Effect
from cairn_protocol.errors import StudyStopped
from cairn_protocol.messages import Opening, decode
from cairn_server.assemble import results_of
from cairn_server.events import Event
from cairn_server.journal import MemoryJournal
from cairn_server.study_run import StudyRun
from recovery_bench import DEADLINES, KNOWN, NAMES, Clinics, any_of, once, resigned, study_of

Make = Callable[..., Clinics]
ALL = "aefoy"


STAGES = ("open", "confirm", "round", "survivors", "certify", "close")


@pytest.fixture(autouse=True)
def walks() -> Iterator[None]:
    with patch.dict(KINDS, KNOWN):
        yield


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """`make(data="public", retries=0, rounds=3, **what the network does)`."""

    def made(
        data: str = "public",
        retries: int = 0,
        rounds: int = 3,
        threshold: int = 4,
        folder: str = "c",
        **more: object,
    ) -> Clinics:
        study = study_of(data, retries, rounds, threshold)
        return Clinics(tmp_path / folder, study, **more)  # type: ignore[arg-type]

    return made


def opened(journal: MemoryJournal, clinics: Clinics, run: StudyRun) -> None:
    """Every opened sum is the plain sum over exactly the clinics that it names."""
    effect = clinics.names_in(run, "effect")
    for letters in effect:
        total, expected = (
            journal.total("effect", 0),
            clinics.expected("effect", letters, np.zeros(0)),
        )
        assert total is not None
        np.testing.assert_array_equal(total, expected)
    if course := clinics.names_in(run, "course"):
        question = next(q for q in run.questions if q.name == "course")
        total = journal.total("course", 0)
        assert total is not None
        expected = clinics.expected("course", course[0], question.start({}))
        np.testing.assert_array_equal(total, expected)


def ledgers(clinics: Clinics, run: StudyRun) -> None:
    """A clinic's ledger holds a charge for each opened sum that it is in, and no attempt twice."""
    for name in NAMES:
        charged = clinics.charges(name)
        assert len(set(charged)) == len(charged)
        for question in ("effect", "course"):
            for round_, letters in enumerate(clinics.names_in(run, question)):
                if name[0] in letters:
                    assert any(c[:2] == (question, round_) for c in charged)


def test_without_trouble_a_round_takes_two_exchanges_and_keys_are_agreed_once(make: Make) -> None:
    c, journal = make(), MemoryJournal()
    run = c.run(journal)
    c.execute(run)
    assert [stage for stage, _ in c.stages] == (
        ["open", "confirm"] + 4 * ["round", "survivors"] + ["close"]
    )
    assert c.names_in(run, "course") == [ALL] * 3
    assert c.said() == []
    opened(journal, c, run)


@pytest.mark.parametrize("what", ["lost", "reply_lost"])
def test_a_clinic_that_misses_an_upload_is_left_out_and_back_in_the_next_round(
    make: Make, what: str
) -> None:
    c, journal = make(), MemoryJournal()
    setattr(c, what, once("round", "elm"))
    run = c.run(journal)
    c.execute(run)
    assert c.names_in(run, "effect") == ["afoy"]
    assert c.names_in(run, "course") == [ALL] * 3
    stages = [stage for stage, _ in c.stages]
    assert stages.count("open") == 1, "its keys live, so it walks the record that it missed"
    assert stages[2:7] == ["round", "survivors", "certify", "round", "survivors"]
    assert c.said() == [
        "round 1 of effect without elm: 4 of 5 clinics are in the sum",
        "elm is in the sum again from round 1 of course on",
    ]
    opened(journal, c, run)


def test_a_clinic_away_for_two_rounds_walks_both_records(make: Make) -> None:
    c = make(lost=once("round", "oak", 2))
    run = c.run()
    c.execute(run)
    assert c.names_in(run, "effect") + c.names_in(run, "course") == ["aefy", "aefy", ALL, ALL]
    assert [stage for stage, _ in c.stages].count("open") == 1


@pytest.mark.parametrize("what", ["lost", "reply_lost"])
def test_a_clinic_lost_after_all_uploaded_costs_nothing(make: Make, what: str) -> None:
    c, journal = make(), MemoryJournal()
    setattr(c, what, once("survivors", "elm"))
    run = c.run(journal)
    c.execute(run)
    assert c.names_in(run, "effect") == [ALL], "four shares open every self mask, elm's too"
    assert c.names_in(run, "course") == [ALL] * 3
    opened(journal, c, run)


@pytest.mark.parametrize("what", ["lost", "reply_lost"])
def test_a_clinic_that_misses_the_survivors_of_a_recovery_still_opens_its_shares(
    make: Make, what: str
) -> None:
    c, journal = make(threshold=3), MemoryJournal()
    c.lost = once("round", "elm")
    second = once("survivors", "oak")
    setattr(c, what, any_of(c.lost, second) if what == "lost" else second)
    run = c.run(journal)
    c.execute(run)
    assert c.names_in(run, "effect") == ["afoy"]
    opened(journal, c, run)


@pytest.mark.parametrize("stage", ["survivors", "certify"])
@pytest.mark.parametrize("what", ["lost", "reply_lost"])
def test_a_second_dropout_during_recovery_is_a_new_attempt_that_is_charged(
    make: Make, what: str, stage: str
) -> None:
    c = make("patients", retries=1, lost=once("round", "elm"))
    second = once(stage, "oak")
    setattr(c, what, any_of(c.lost, second) if what == "lost" else second)
    run = c.run()
    c.execute(run)
    assert c.names_in(run, "effect") == [ALL], "both are back in the second attempt"
    assert run.attempts("effect") == 2
    assert c.charges("ash")[:2] == [("effect", 0, 0), ("effect", 0, 1)]
    assert "asking again" in c.said("trouble")[0]
    assert "oak" in c.said("trouble")[0]
    ledgers(c, run)


def test_a_second_dropout_without_retries_stops_the_study_and_names_the_clinic(make: Make) -> None:
    c = make(lost=any_of(once("round", "elm"), once("certify", "oak")))
    with pytest.raises(StudyStopped) as caught:
        c.execute(c.run())
    assert caught.value.code == "stopped.clinic-missing"
    assert "oak" in caught.value.what
    assert "all others must answer" in caught.value.why


def test_too_few_uploads_are_a_void_round(make: Make) -> None:
    c = make("patients", retries=1, lost=any_of(once("round", "elm"), once("round", "oak")))
    run = c.run()
    c.execute(run)
    assert run.attempts("effect") == 2
    assert "elm, oak" in c.said("trouble")[0]
    assert c.charges("elm")[0] == ("effect", 0, 1), "what never reached elm was not charged"
    ledgers(c, run)


def restarting(c: Clinics, stage: str, clinic: str) -> Callable[[str, str], bool]:
    """Just before the clinic's message of this stage arrives, its keeper is restarted."""
    due = once(stage, clinic)

    def lost(at: str, name: str) -> bool:
        if due(at, name):
            c.restart(name)
        return False

    return lost


@pytest.mark.parametrize("data", ["public", "patients"])
def test_a_restarted_keeper_is_out_for_a_round_and_taken_back_under_new_keys(
    make: Make, data: str
) -> None:
    c, journal = make(data), MemoryJournal()
    c.lost = restarting(c, "round", "elm")
    run = c.run(journal)
    c.execute(run)
    assert c.names_in(run, "effect") + c.names_in(run, "course") == ["afoy", ALL, ALL, ALL]
    stages = [stage for stage, _ in c.stages]
    assert stages.count("open") == 2
    if data == "public":
        opened(journal, c, run)
    else:
        ledgers(c, run)


def test_a_restarted_keeper_has_time_to_read_its_records(make: Make) -> None:
    slow = {("open", "elm"): 15.0}
    c = make(takes=lambda stage, name: slow.get((stage, name), 0.01))
    c.lost = restarting(c, "round", "elm")
    run = c.run()
    c.execute(run)
    assert c.names_in(run, "effect") + c.names_in(run, "course") == ["afoy", ALL, ALL, ALL]


def test_a_keeper_restarted_after_its_upload_is_in_the_sum(make: Make) -> None:
    c, journal = make(), MemoryJournal()
    c.lost = restarting(c, "survivors", "elm")
    run = c.run(journal)
    c.execute(run)
    assert c.names_in(run, "effect") + c.names_in(run, "course") == [ALL, ALL, ALL, ALL]
    assert [stage for stage, _ in c.stages].count("open") == 2
    opened(journal, c, run)


def test_a_keeper_restarted_while_a_loss_is_made_good_voids_the_round(make: Make) -> None:
    c = make(retries=1)
    c.lost = any_of(once("round", "elm"), restarting(c, "certify", "oak"))
    run = c.run()
    c.execute(run)
    assert run.attempts("effect") == 2
    assert c.names_in(run, "effect") == [ALL]
    assert "oak lost the keys of this round" in c.said("trouble")[0]
    waited = [seconds for stage, seconds in c.stages if stage == "certify"]
    assert max(waited) < 1, "no answer can come any more, so nobody waits for it"


def test_nobody_waits_for_a_round_that_cannot_be_opened_any_more(make: Make) -> None:
    slow = {("round", "ash"): 500.0}
    c = make(retries=1, takes=lambda stage, name: slow.get((stage, name), 0.01))
    c.lost = any_of(restarting(c, "round", "elm"), restarting(c, "round", "oak"))
    c.execute(c.run())
    assert seconds_of(c, "round")[0] < 1, "two of five are lost, whatever ash says"


def test_nobody_waits_for_a_loss_that_cannot_be_made_good_any_more(make: Make) -> None:
    slow = {("certify", "ash"): 500.0}
    c = make(retries=1, threshold=3, takes=lambda stage, name: slow.get((stage, name), 0.01))
    c.lost = any_of(once("round", "elm"), restarting(c, "certify", "oak"))
    c.execute(c.run())
    assert seconds_of(c, "certify")[0] < 1


def test_a_keeper_that_is_restarted_again_and_again_leaves(make: Make) -> None:
    c = make(rounds=9)

    def lost(stage: str, name: str) -> bool:
        if (stage, name) == ("round", "elm"):
            c.restart(name)
        return False

    c.lost = lost
    run = c.run()
    c.execute(run)
    assert [stage for stage, _ in c.stages].count("open") == 7, "five times for elm, once without"
    assert c.said()[-1] == (
        "elm left the run: it lost its keys more than 5 times; the run goes on with 4 of 5 clinics"
    )
    assert c.names_in(run, "course") == ["afoy"] * 9


def pausing(c: Clinics, stage: str, *clinics: str) -> Callable[[str, str], bool]:
    """Just before their message of this stage arrives, these clinics' people pause the study."""

    def lost(at: str, name: str) -> bool:
        if at == stage and name in clinics and "effect" in str(c.charges("ash")):
            c.pause(name)
        return False

    return lost


def test_a_clinic_that_pauses_leaves_and_the_run_goes_on(make: Make) -> None:
    c = make("patients")
    c.lost = pausing(c, "round", "elm")
    run = c.run()
    c.execute(run)
    assert c.names_in(run, "effect") + c.names_in(run, "course") == ["afoy"] * 4
    text = "this clinic has not approved the study"
    assert any(s.startswith(f"elm left the run: {text}") for s in c.said())
    (left,) = run.incidents()
    assert (left.kind, left.clinic, left.text) == ("left", "elm", text)
    ledgers(c, run)


def test_keys_are_agreed_without_a_clinic_that_left_so_rounds_take_two_exchanges(
    make: Make,
) -> None:
    c = make("patients")
    c.lost = pausing(c, "round", "elm")
    c.execute(c.run())
    stages = [stage for stage, _ in c.stages]
    assert stages.count("certify") == 1
    assert stages.count("open") == 2


def test_a_second_clinic_that_leaves_stops_the_study_and_is_named(make: Make) -> None:
    c = make("patients", retries=3)
    c.lost = pausing(c, "round", "elm", "oak")
    run = c.run()
    with pytest.raises(StudyStopped) as caught:
        c.execute(run)
    assert caught.value.code == "stopped.clinic-refused"
    assert caught.value.what.startswith(("oak", "elm"))
    assert "3 of 5 clinics are left, the study needs 4" in caught.value.why
    asked = [stage for stage, _ in c.stages].count("round")
    assert asked <= 3, "retries are not used up on clinics that will refuse"
    assert {i.clinic for i in run.incidents()} == {"elm", "oak"}


def test_a_clinic_whose_budget_is_used_up_leaves(make: Make, tmp_path: Path) -> None:
    c = make("patients")
    c.keepers["fir"].close()
    config = tmp_path / "c" / "fir" / "clinic.toml"
    config.write_text(config.read_text().replace("8.0", "1.1"))
    from cairn_client.clinic_folder import ClinicFolder

    c.folders["fir"] = ClinicFolder.open(tmp_path / "c" / "fir")
    c.keepers["fir"] = c._keeper("fir")
    run = c.run()
    c.execute(run)
    assert [a.question for a in run.answers] == ["effect", "course"]
    assert c.names_in(run, "course") == ["aeoy"] * 3
    assert [i.clinic for i in run.incidents()] == ["fir"]


def test_a_run_begins_without_a_clinic_that_does_not_come_and_takes_it_back(make: Make) -> None:
    away = [True]
    c = make(rounds=4, lost=lambda stage, name: name == "yew" and away[0])

    def comes(event: Event) -> None:
        if event.stage == "round" and (event.question, event.done) == ("course", 1):
            away[0] = False

    journal = MemoryJournal()
    run = c.run(journal, watch=comes)
    c.execute(run)
    assert c.names_in(run, "effect") == ["aefo"]
    assert c.names_in(run, "course") == ["aefo", "aefo", ALL, ALL], "asked in 2, back from 3 on"
    stages = [stage for stage, _ in c.stages]
    assert stages.count("open") == 2
    assert stages.count("certify") == 0, "nobody dropped out of the keys"
    assert c.said("set-up") == [
        "4 of 5 clinics agreed on keys for this run, without yew",
        "5 clinics agreed on keys for this run",
    ]
    opened(journal, c, run)


def test_the_first_set_up_waits_for_all_as_long_as_it_should(make: Make) -> None:
    away = [True]
    c = make(
        lost=lambda stage, name: name == "yew" and away[0],
        deadlines=replace(DEADLINES, patience=7200, pause=5, muster=3600),
    )
    waited = "no answer from yew yet; after 60 minutes the run begins without; waiting"

    def comes(event: Event) -> None:
        away[0] = c.clock.now < 600

    run = c.run(watch=comes)
    c.clock.now = 0.0
    original = c.clock.sleep

    def sleep(seconds: float) -> None:
        original(seconds)
        away[0] = c.clock.now < 600

    c.clock.sleep = sleep  # type: ignore[method-assign]
    c.execute(run)
    assert c.names_in(run, "effect") == [ALL]
    assert 600 <= c.clock.now < 700
    assert c.said("trouble") == [waited], "once, not at every try"


def test_the_first_set_up_gives_up_waiting_for_a_clinic(make: Make) -> None:
    c = make(
        lost=lambda stage, name: name == "yew",
        deadlines=replace(DEADLINES, patience=7200, pause=5, muster=3600),
    )
    run = c.run()
    c.execute(run)
    assert c.names_in(run, "effect") == ["aefo"]
    assert 3600 <= c.clock.now < 3800


def test_too_few_clinics_are_waited_for_until_patience_ends(make: Make) -> None:
    c = make(
        lost=lambda stage, name: name in ("yew", "oak"),
        deadlines=replace(DEADLINES, patience=7200, pause=5, muster=600),
    )
    with pytest.raises(StudyStopped) as caught:
        c.execute(c.run())
    assert 7200 <= c.clock.now < 7300
    assert "oak, yew" in caught.value.what
    assert "needs 4 of its 5 clinics" in caught.value.why
    assert not any(c.charges(name) for name in NAMES if c.study.noised)


def test_a_clinic_that_offers_keys_and_never_confirms_does_not_hold_the_others_up(
    make: Make,
) -> None:
    c = make(reply_lost=lambda stage, name: (stage, name) == ("confirm", "elm"))
    run = c.run()
    c.execute(run)
    assert c.names_in(run, "effect") == ["afoy"]
    assert [stage for stage, _ in c.stages].count("open") == 6, "not for ever"
    assert [i.clinic for i in run.incidents()] == ["elm"]


def test_a_revoked_clinic_leaves(make: Make) -> None:
    c = make()
    reason = StudyStopped("elm was revoked and cannot take part", code="clinic-revoked")
    run = c.run(check=lambda: {1: reason} if c.said("answered") else {})
    c.execute(run)
    assert c.names_in(run, "effect") + c.names_in(run, "course") == [ALL, *["afoy"] * 3]
    assert c.said()[0].startswith("elm left the run: was revoked and cannot take part")


def wrong_shares(c: Clinics, *clinics: str) -> Callable[[str, str, bytes], bytes]:
    """These clinics open other shares than they were dealt."""

    def meddle(stage: str, name: str, reply: bytes) -> bytes:
        message = decode(reply)
        if name in clinics and isinstance(message, Opening):
            return resigned(c, name, reply, shares=bytes(len(message.shares)))
        return reply

    return meddle


def test_wrong_shares_are_passed_over_and_their_clinic_is_named(make: Make) -> None:
    c, journal = make(), MemoryJournal()
    c.meddle = wrong_shares(c, "ash")
    run = c.run(journal)
    c.execute(run)
    opened(journal, c, run)
    assert {(i.kind, i.clinic) for i in run.incidents()} == {("blamed", "ash"), ("left", "ash")}
    assert "ash: a share that it dealt or opened in round 1 of effect" in c.said()[0]


def test_wrong_shares_that_cannot_be_passed_over_void_the_round(make: Make) -> None:
    c = make("patients", retries=1, lost=once("round", "elm"))
    c.meddle = wrong_shares(c, "ash")
    run = c.run()
    c.execute(run)
    assert run.attempts("effect") == 2
    assert c.names_in(run, "effect") == ["efoy"], "it would have voided every attempt"
    assert "cannot be taken off" in c.said("trouble")[0]
    assert {(i.kind, i.clinic) for i in run.incidents()} == {("blamed", "ash"), ("left", "ash")}


class Killed(BaseException):
    """Stands for the end of the server's process."""


@pytest.mark.parametrize("after", range(1, 9))
def test_a_killed_server_carries_on_and_gives_the_same_answers(make: Make, after: int) -> None:
    answers = []
    for folder in ("whole", "killed"):
        c, journal, left = make(folder=folder), MemoryJournal(), [after]
        c.lost = lambda stage, name, c=c: (  # type: ignore[misc]
            (stage, name) == ("round", "elm") and len(c.said("answered")) == 0
        )

        def kill(event: Event, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise Killed

        run = c.run(journal, **({"watch": kill} if folder == "killed" else {}))
        try:
            c.execute(run)
        except Killed:
            run = c.run(journal, run_id=run.run_id)
            c.execute(run)
        assert c.names_in(run, "effect") + c.names_in(run, "course") == ["afoy", ALL, ALL, ALL]
        opened(journal, c, run)
        answers.append([a.to_json() for a in run.answers])
    assert answers[0] == answers[1]


def test_a_clinic_that_left_is_not_asked_again_by_a_server_that_was_restarted(make: Make) -> None:
    c, journal = make("patients"), MemoryJournal()
    c.lost = pausing(c, "round", "elm")

    def kill(event: Event) -> None:
        if event.stage == "answered":
            raise Killed

    first = c.run(journal, watch=kill)
    with pytest.raises(Killed):
        c.execute(first)
    c.asked.clear()
    left = [i.clinic for i in first.incidents()]
    second = c.run(journal, run_id=first.run_id)
    c.execute(second)
    if left:
        assert not [stage for stage, name in c.asked if name == "elm"]
    assert len(second.answers) == 2


# How long is waited.


def seconds_of(c: Clinics, stage: str) -> list[float]:
    return [round(seconds, 2) for at, seconds in c.stages if at == stage]


def test_a_missing_clinic_is_waited_for_less_each_time(make: Make) -> None:
    c = make(rounds=2, lost=lambda stage, name: (stage, name) == ("round", "elm"))
    c.execute(c.run())
    assert seconds_of(c, "round") == [20.01, 10.01, 5.01]


def test_after_three_rounds_keys_are_agreed_without_it(make: Make) -> None:
    gone = [False]
    c = make(rounds=6, lost=lambda stage, name: name == "elm" and gone[0])
    run = c.run(watch=lambda event: gone.__setitem__(0, gone[0] or event.stage == "answered"))
    c.execute(run)
    assert c.names_in(run, "course") == ["afoy"] * 6
    stages = [stage for stage, _ in c.stages]
    assert stages.count("certify") == 3
    assert stages.count("open") == 2
    assert sum(seconds_of(c, "round")) < 20 + 10 + 5 + 4 * 2.5
    assert c.said("set-up")[-1] == "4 of 5 clinics agreed on keys for this run, without elm"


def test_a_slow_clinic_is_waited_for_as_long_again_as_the_others_took(make: Make) -> None:
    slow = {"elm": 195.0}
    c = make(takes=lambda stage, name: slow.get(name, 100.0) if stage == "round" else 0.01)
    run = c.run()
    c.execute(run)
    assert c.names_in(run, "course") == [ALL] * 3
    takes = {(stage, name): 0.01 for stage in STAGES for name in NAMES}
    takes |= {("round", name): 205.0 if name == "elm" else 100.0 for name in NAMES}
    c = make(folder="slower", takes=lambda stage, name: takes[stage, name])
    run = c.run()
    c.execute(run)
    assert c.names_in(run, "course")[0] == "afoy"
    assert seconds_of(c, "round")[0] == 200.0


def test_nobody_waits_for_a_clinic_whose_loss_must_be_made_good_less_than_the_deadline(
    make: Make,
) -> None:
    c = make(
        lost=once("round", "elm"),
        takes=lambda stage, name: 500.0 if (stage, name) == ("survivors", "oak") else 0.01,
    )
    run = c.run()
    c.execute(run)
    assert c.names_in(run, "effect") == ["afoy"], "a void round would be charged: oak is waited for"


def test_every_message_to_all_in_time_is_not_waited_for(make: Make) -> None:
    c = make()
    c.execute(c.run())
    assert c.clock.now < 1


# What the answers and the team are told.


def test_an_answer_reckons_with_the_noise_of_the_clinics_in_its_sum(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    estimate = Effect.estimate

    def spy(self, public, total, noise):  # type: ignore[no-untyped-def]
        seen.append(noise.sd)
        return estimate(self, public, total, noise)

    monkeypatch.setattr(Effect, "estimate", spy)
    c = make("patients", lost=once("round", "elm"))
    run = c.run()
    c.execute(run)
    terms = run.terms["effect"]
    assert seen == [terms.noise_sd(4)]
    assert terms.noise_sd(4) == pytest.approx(terms.sum_sd * np.sqrt(4 / 5))


def test_results_say_who_is_in_which_sum_and_who_left(make: Make) -> None:
    from datetime import UTC, datetime

    c = make("patients", lost=once("round", "oak", 2))
    run = c.run()
    c.execute(run)
    results = results_of(run, started=datetime(2026, 1, 1, tzinfo=UTC), seconds=1.0, engine="test")
    effect, course = results.sums
    assert (effect.rounds, effect.clinics, effect.fewest, effect.last) == (1, 5, 4, 4)
    assert [(a.clinic, a.rounds) for a in effect.absent] == [("oak", (1,))]
    assert (course.rounds, course.fewest, course.last) == (3, 4, 5)
    assert [(a.clinic, a.rounds) for a in course.absent] == [("oak", (1,))]
