"""Keepers over tiny clinics, for tests that play the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_protocol.identity import Identity
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.server_run import ServerRun
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from keeper_bench import NAMES, STUDY, Bench, write_clinic


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    """Makes a `Bench`; `approve=False` leaves the study unapproved."""

    def make(
        *,
        text: str = STUDY,
        data: str = "patients",
        cap: float = 8.0,
        approve: bool = True,
    ) -> Bench:
        study = Study.parse(text.encode())
        team = Identity.generate()
        signed = SignedStudy.sign(study, team)
        folders = {
            name: write_clinic(tmp_path / name, name, data=data, cap=cap)
            for name in NAMES[: study.policy.clinics]
        }
        keepers = {name: Keeper(ClinicFolder.open(folder)) for name, folder in folders.items()}
        keys = {name: keeper.identity.public for name, keeper in keepers.items()}
        roster = SignedRoster.sign(Roster.first(signed, keys), team)
        in_order = [keepers[entry.clinic] for entry in roster.roster.entries]
        for keeper in in_order:
            if approve:
                keeper.approve(signed)
            keeper.read_records(study)
        server, opening = ServerRun.open(bytes(16), signed, roster)
        return Bench(study, signed, roster, server, opening, in_order, team)

    return make
