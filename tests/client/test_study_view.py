"""What a clinic's people are told that a study costs is what a server may make it cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper_store import Offered
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
    view = study_view(Offered(signed, roster, "", None), clinic, own.public)
    worst = epsilon_of_rho((1 + retries) * rho_for(1.0, 1e-6), 1e-6)
    assert view.epsilon == pytest.approx(worst, rel=1e-3)
