"""What a clinic's people are told that a study costs is what a server may make it cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.store_offers import Offered
from cairn_client.study_view import study_view
from cairn_privacy.accounting import epsilon_of_rho, rho_for
from cairn_protocol.identity import Identity
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from keeper_bench import STUDY, write_clinic

ONE_QUESTION = STUDY[: STUDY.index('[[questions]]\nname = "course"')]


@pytest.mark.parametrize("retries", [0, 3])
def test_the_cost_that_is_shown_holds_every_retry(retries: int, tmp_path: Path) -> None:
    team, own = Identity.generate(), Identity.generate()
    text = ONE_QUESTION.replace("[policy]", f"[privacy]\nretries = {retries}\n[policy]")
    signed = SignedStudy.sign(Study.parse(text.encode()), team)
    keys = {"oak": own.public} | {n: Identity.generate().public for n in ("ash", "elm")}
    roster = SignedRoster.sign(Roster.first(signed, keys), team)
    clinic = ClinicFolder.open(write_clinic(tmp_path / "oak", "oak"))
    view = study_view(Offered(signed, roster, ""), clinic, own.public, {})
    worst = epsilon_of_rho((1 + retries) * rho_for(1.0, 1e-6), 1e-6)
    assert view.epsilon == pytest.approx(worst, rel=1e-3)
    (question,) = view.questions
    assert question.asked.startswith("How much more or less PHQ-9 changes by week 8")
    assert "dmhi_guided" in question.who
    assert "zeros stand everywhere else" in question.how


def test_too_few_verified_clinics_stand_in_the_way_and_all_else_is_shown(tmp_path: Path) -> None:
    team, own = Identity.generate(), Identity.generate()
    signed = SignedStudy.sign(Study.parse(STUDY.encode()), team)
    keys = {"oak": own.public} | {n: Identity.generate().public for n in ("ash", "elm")}
    roster = SignedRoster.sign(Roster.first(signed, keys), team)
    clinic = ClinicFolder.open(write_clinic(tmp_path / "oak", "oak"))
    offered = Offered(signed, roster, "")
    view = study_view(offered, clinic, own.public, {})
    assert (view.line.verified, view.line.members, view.line.needed) == (1, 3, 2)
    assert list(view.line.unverified) == ["ash", "elm"]
    assert "too-few-verified" in view.obstacle
    assert "1 of its 3 clinics are verified here, 2 are needed" in view.obstacle
    assert "cairn clinic verify NAME FINGERPRINT" in view.remedy
    assert view.questions
    assert view.meaning
    view = study_view(offered, clinic, own.public, {keys["elm"]: "compared by Ada"})
    assert not view.obstacle
    assert [m.verified for m in view.roster] == ["", "compared by Ada", ""]
    public = STUDY.replace("[policy]", '[privacy]\ndata = "public"\n[policy]')
    exact = SignedStudy.sign(Study.parse(public.replace("epsilon = 1.0", "").encode()), team)
    line = study_view(Offered(exact, roster, ""), clinic, own.public, {}).line
    assert line.needed == 0, "nobody's privacy is at stake"
