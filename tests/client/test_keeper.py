"""The keeper against a server that asks what it may not, and against its own failures (K1–K4)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_models.questions.effect import Effect
from cairn_models.records import Records
from cairn_protocol.context import state_bytes
from cairn_protocol.errors import InputError
from cairn_protocol.identity import Identity
from cairn_protocol.messages import (
    Closed,
    Confirmation,
    KeyPackage,
    OpenRun,
    Refusal,
    Upload,
    decode,
)
from cairn_protocol.record import Message
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from keeper_bench import STUDY, Bench, write_clinic

Make = Callable[..., Bench]


def refused(reply: Message) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.code


def test_a_run_from_opening_to_closing(bench: Make) -> None:
    b = bench()
    assert all(isinstance(r, KeyPackage) for r in b.everyone(b.opening))
    assert all(isinstance(r, Confirmation) for r in b.everyone(b.server.packages()))
    assert all(isinstance(r, Upload) for r in b.everyone(b.requests()))
    assert b.server.total().shape == (9,)  # four numbers an arm, and one
    b.everyone(b.server.close("done"))
    assert refused(b.ask(b.opening)) != ""


def test_a_closing_with_a_forged_history_is_refused_and_changes_nothing(bench: Make) -> None:
    b = bench()
    b.set_up()
    b.everyone(b.requests())
    b.server.total()
    closing = b.server.close("done")[0]
    record = closing.records[-1]
    forged = replace(record, uploads=tuple(replace(u, upload=bytes(32)) for u in record.uploads))
    lie = replace(closing, records=(*closing.records[:-1], forged))
    assert refused(b.ask(lie)) == "peer.transcript-differs"
    run = b.keepers[0]._active.find(closing.run).run
    assert run._roots is not None
    assert isinstance(b.ask(closing), Closed)
    assert run._roots is None, "erased"


def test_k1_a_study_that_was_not_approved_is_refused(bench: Make) -> None:
    b = bench(approve=False)
    assert refused(b.ask(b.opening)) == "policy.study-not-approved"


def test_k1_an_altered_study_is_refused(bench: Make) -> None:
    b = bench()
    text = STUDY.replace("epsilon = 1.0", "epsilon = 8.0")
    team = Identity.generate()
    other = SignedStudy.sign(Study.parse(text.encode()), team)
    roster = SignedRoster.sign(Roster.first(other, _keys(b)), team)
    assert refused(b.ask(OpenRun(bytes(16), 0, other, roster))) == "policy.study-not-approved"


def test_k1_the_approved_study_from_another_team_is_refused(bench: Make) -> None:
    b = bench()
    impostor = Identity.generate()
    signed = SignedStudy.sign(b.study, impostor)
    roster = SignedRoster.sign(Roster.first(signed, _keys(b)), impostor)
    assert refused(b.ask(OpenRun(bytes(16), 0, signed, roster))) == "peer.study-forged"


def _keys(b: Bench) -> dict[str, bytes]:
    return {entry.clinic: entry.identity for entry in b.roster.roster.entries}


def test_k2_a_round_beyond_the_study_is_refused(bench: Make) -> None:
    b = bench()
    b.set_up()
    assert refused(b.ask(b.request("effect", round_=1))) == "peer.not-asked"


def test_k2_a_question_that_the_study_does_not_ask_is_refused(bench: Make) -> None:
    b = bench()
    b.set_up()
    request = b.request()
    other = replace(request, header=replace(request.header, question="smallest"))
    assert refused(b.ask(other)) == "peer.not-asked"


def test_k2_a_weaker_noise_is_another_context_and_refused(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = bench()
    b.set_up()
    from cairn_privacy.question_terms import QuestionTerms

    honest = QuestionTerms.context

    def weaker(self: QuestionTerms, *args: object) -> object:
        context = honest(self, *args)  # type: ignore[arg-type]
        return replace(context, sigma=context.sigma / 100)

    with monkeypatch.context() as patch:
        patch.setattr(QuestionTerms, "context", weaker)
        request = b.request()
    assert refused(b.ask(request)) == "peer.context-differs"
    assert b.keepers[0].ledger.spent() == 0


def test_k3_a_planted_first_model_is_refused(bench: Make) -> None:
    b = bench()
    b.set_up()
    b.everyone(b.requests())
    b.server.total()
    request = b.request("course")
    planted = request.public.copy()
    planted[7] += 1
    other = replace(request, public_state=state_bytes(planted))
    assert refused(b.ask(other)) == "peer.state-planted"
    assert isinstance(b.ask(request), Upload)


def test_k3_a_state_of_another_length_is_refused(bench: Make) -> None:
    b = bench()
    b.set_up()
    other = replace(b.request(), public_state=state_bytes(np.zeros(3, dtype=np.float32)))
    assert refused(b.ask(other)) == "peer.state-length"


def test_k4_a_failure_over_records_tells_the_server_and_the_log_nothing_of_them(
    bench: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    b = bench()
    b.set_up()

    def broken(self: Effect, records: Records) -> None:
        raise ValueError(f"cannot use {records.patients['patient'][0]}")

    monkeypatch.setattr(Effect, "prepare", broken)
    with caplog.at_level(logging.DEBUG):
        reply = b.keepers[0].forward(b.request().to_bytes())
    assert refused(decode(reply)) == "internal.answer-failed"
    assert b"SECRET" not in reply
    assert "SECRET" not in caplog.text
    assert "ValueError" in caplog.text
    assert b.keepers[0].ledger.spent() > 0, "the charge was made before the records were read"


def test_the_same_request_again_gets_the_same_bytes_and_one_charge(bench: Make) -> None:
    b = bench()
    b.set_up()
    request = b.request().to_bytes()
    first = b.keepers[0].forward(request)
    spent = b.keepers[0].ledger.spent()
    assert b.keepers[0].forward(request) == first
    assert b.keepers[0].ledger.spent() == spent
    assert [entry.state for entry in b.keepers[0].ledger.entries()] == ["committed"]


def test_a_retry_that_the_studys_budget_does_not_hold_is_refused(bench: Make) -> None:
    b = bench()
    b.set_up()
    for attempt in range(3):
        reply = b.ask(b.request(attempt=attempt))
        if isinstance(reply, Refusal):
            break
    assert refused(reply) == "budget.cap-reached"
    planned = sum(a.terms.noise.rho for a in b.keepers[0]._active.find(bytes(16)).askable.values())  # type: ignore[union-attr]
    assert b.keepers[0].ledger.spent() <= planned * (1 + 1e-12)


def test_beyond_the_clinics_own_cap_no_record_is_read(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = bench(cap=0.5)
    b.set_up()
    monkeypatch.setattr(Effect, "prepare", lambda *_: pytest.fail("records were read"))
    reply = b.ask(b.request())
    assert refused(reply) == "budget.cap-reached"
    assert reply.why == "", "how much is spent and left is the clinic's own business"  # type: ignore[attr-defined]
    assert b.keepers[0].ledger.spent() == 0


def test_a_study_that_calls_patients_public_is_refused(bench: Make) -> None:
    text = STUDY.replace("[policy]", '[privacy]\ndata = "public"\n[policy]')
    b = bench(text=text.replace("epsilon = 1.0", ""))
    assert refused(b.ask(b.opening)) == "policy.data-not-public"


@pytest.mark.parametrize("junk", [b"", b"\x00", b"cairn", b"\xff" * 4096])
def test_junk_is_refused_and_changes_nothing(bench: Make, junk: bytes) -> None:
    b = bench()
    b.set_up()
    assert refused(decode(b.keepers[0].forward(junk))).startswith("peer.")
    assert isinstance(b.ask(b.request()), Upload)


def test_a_clinics_own_messages_are_not_requests(bench: Make) -> None:
    b = bench()
    package = b.ask(b.opening)
    assert refused(b.ask(package)) == "peer.not-a-request"


def test_a_run_that_the_keeper_never_opened_is_refused(bench: Make) -> None:
    b = bench()
    b.set_up()
    request = b.request()
    b.keepers[0].close()
    assert refused(b.ask(request)) == "peer.run-unknown"


def test_identity_and_ledger_are_private_files_and_stay(tmp_path: Path) -> None:
    folder = ClinicFolder.open(write_clinic(tmp_path / "ash", "ash"))
    first = Keeper(folder)
    spent = first.ledger.spent()
    first.close()
    again = Keeper(folder)
    assert again.identity.public == first.identity.public
    assert again.ledger.spent() == spent
    again.close()
    assert folder.state.stat().st_mode & 0o777 == 0o700
    for file in folder.state.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file.name


def test_a_cut_off_identity_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    folder = ClinicFolder.open(write_clinic(tmp_path / "ash", "ash"))
    Keeper(folder).close()
    (folder.state / "identity.key").write_bytes(b"short")
    with pytest.raises(InputError) as caught:
        Keeper(folder)
    assert caught.value.hint
