"""`cairn clinic ledger` as the people who answer for a clinic type it, on a keeper and without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper_service import KeeperService
from cairn_privacy.accounting import rho_for, units_within
from cairn_privacy.blocks import EVERYONE, Blocks
from cairn_privacy.ledger import Ledger
from cairn_privacy.links import StudyAccount
from cairn_protocol.errors import CairnError
from cairn_protocol.identity import Identity, fingerprint
from keeper_bench import write_clinic

TEAM = Identity.generate().public
ONE = rho_for(1.0, 1e-6)


def cairn(*words: object) -> Result:
    return CliRunner().invoke(app, ["clinic", "ledger", *map(str, words)])


def refused(result: Result) -> str:
    assert isinstance(result.exception, CairnError), result.output
    return result.exception.code


def study(name: str, title: str, blocks: Blocks, epsilon: float) -> StudyAccount:
    cap = units_within(rho_for(epsilon, 1e-6))
    return StudyAccount(name.encode().hex().ljust(64, "0"), name, title, TEAM.hex(), blocks, cap)


WAITING = study(
    "waiting",
    "Does a digital programme help people who wait for therapy?",
    Blocks.of_window(date(2023, 1, 1), date(2024, 12, 31)),
    2.0,
)
ALL = study("all", "How long do people wait?", EVERYONE, 1.0)


def spend(ledger: Ledger, of: StudyAccount, question: str, attempt: int, rho: float) -> int:
    return ledger.reserve(bytes.fromhex(of.study), question, 0, attempt, rho, account=of)


@pytest.fixture
def clinic(tmp_path: Path) -> ClinicFolder:
    """A clinic that answered two studies, one answer prepared in vain, one cut off."""
    folder = ClinicFolder.open(write_clinic(tmp_path / "oak", "oak"))
    with folder.ledger() as ledger:
        ledger.commit(spend(ledger, WAITING, "effect", 0, ONE), bytes(32))
        for attempt in range(3):
            ledger.commit(spend(ledger, WAITING, "course", attempt, ONE / 10), bytes(32))
        ledger.void(spend(ledger, WAITING, "course", 3, ONE / 10), "the keeper stopped")
        spend(ledger, ALL, "wait", 0, ONE / 2)
    return folder


@pytest.fixture
def running(clinic: ClinicFolder) -> Iterator[ClinicFolder]:
    with KeeperService(clinic):
        yield clinic


def test_it_says_who_spent_what_on_whom_and_what_is_left(running: ClinicFolder) -> None:
    told = cairn("--folder", running.path)
    assert told.exit_code == 0, told.output
    text = told.output
    assert max(len(line) for line in text.splitlines()) <= 96
    for expected in (
        "Privacy ledger of oak",
        "cap: ε = 8 at δ = 1e-06 for any patient, over all studies",
        "entered by the end of 2022-Q4, or no date known",
        "entered 2023-Q1 to 2024-Q4",
        "entered from 2025-Q1 on, also later",
        "questions at",
        f"asked by  {fingerprint(TEAM)}",
        "Does a digital programme help people who wait for therapy?",
        "effect  ε = 1: 1 answer charged (1 sent), ",
        "4 answers charged (3 sent, 1 prepared, not sent), ",
        "patients  every patient, also those still to come",
        "1 answer charged (1 prepared, not sent)",  # the one cut off, sat out at the start
    ):
        assert expected in text, expected
    assert "anonym" not in text


def test_json_has_the_same(running: ClinicFolder) -> None:
    view = json.loads(cairn("--folder", running.path, "--json").output)
    assert [s["name"] for s in view["studies"]] == ["waiting", "all"]
    middle = view["blocks"][1]
    assert (middle["first"], middle["last"]) == ("2023-Q1", "2024-Q4")
    assert middle["left_share"] < view["blocks"][0]["left_share"]
    (at_one, many), _ = middle["questions"]
    assert at_one == 1.0
    whole, spent = units_within(rho_for(8.0, 1e-6)), 1.9 * ONE
    assert many == (whole - units_within(spent)) // units_within(ONE)
    assert view["studies"][0]["left_share"] == pytest.approx(1 - 1.4 * ONE / rho_for(2.0, 1e-6))
    assert not view["stopped"]


def test_a_lowered_cap_is_what_is_left_of(clinic: ClinicFolder) -> None:
    config = clinic.path / "clinic.toml"
    config.write_text('name = "oak"\ncap_epsilon = 1.5\n')
    with KeeperService(ClinicFolder.open(clinic.path)):
        told = cairn("--folder", clinic.path)
    assert "lowered to ε = 1.5" in told.output
    view = [line for line in told.output.splitlines() if "2023-Q1 to 2024-Q4" in line]
    assert view[0].split()[-4:] == ["10%", "0", "0", "0.43"]


@pytest.mark.parametrize("links", [1, 4, 50_000])
def test_an_export_is_checked_anywhere(
    running: ClinicFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: int
) -> None:
    monkeypatch.setattr("cairn_client.keeper_admin.LINKS_AT_ONCE", links)
    file = tmp_path / "export.jsonl"
    told = cairn("--folder", running.path, "--export", file)
    assert file.stat().st_mode & 0o777 == 0o600, "or the link does not start"
    assert told.exit_code == 0, told.output
    assert f"verify {file}" in told.output.replace("\n", " ")
    assert cairn("--folder", running.path, "--export", "-").output == file.read_text()
    assert len(file.read_text().splitlines()) == 15
    checked = cairn("verify", file)
    assert checked.exit_code == 0, checked.output
    assert "holds together" in checked.output
    assert "Does a digital programme help" in checked.output
    view = json.loads(cairn("verify", file, "--json").output)
    assert view["head"] in told.output
    assert cairn("verify", file, "--head", view["head"], "--since", file).exit_code == 0


def test_a_changed_export_is_refused(running: ClinicFolder, tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    cairn("--folder", running.path, "--export", file)
    for was, now in (('"question":"effect"', '"question":"defect"'), ('"units":', '"units": 1')):
        spoilt = tmp_path / "spoilt.jsonl"
        spoilt.write_text(file.read_text().replace(was, now))
        assert refused(cairn("verify", spoilt)) == "input.ledger-damaged"
    spoilt.write_bytes(file.read_bytes() + b"\xff")
    assert refused(cairn("verify", spoilt)) == "input.ledger-damaged"
    assert refused(cairn("verify", tmp_path / "absent")) == "input.file-unreadable"


def test_a_ledger_that_was_written_anew_shows_beside_an_earlier_export(
    clinic: ClinicFolder, tmp_path: Path
) -> None:
    with clinic.ledger() as ledger:
        early = tmp_path / "early.jsonl"
        early.write_text(ledger.export())
        noted = ledger.head().hex()
        spend(ledger, WAITING, "course", 9, ONE / 10)
        late = tmp_path / "late.jsonl"
        late.write_text(ledger.export())
    forged = tmp_path / "forged" / "ledger.db"
    forged.parent.mkdir()
    with Ledger.create(forged, clinic="oak", cap_epsilon=8.0, delta=1e-6) as ledger:
        anew = tmp_path / "anew.jsonl"
        anew.write_text(ledger.export())
    assert cairn("verify", late, "--since", early).exit_code == 0
    assert cairn("verify", anew).exit_code == 0, "by itself it holds together"
    for words in (("--since", early), ("--head", noted)):
        assert refused(cairn("verify", anew, *words)) == "input.ledger-rewritten"
    assert refused(cairn("verify", early, "--since", late)) == "input.ledger-rewritten"
    assert refused(cairn("verify", late, "--head", "xyz")) == "input.digest"


def test_before_the_first_study_there_is_none(tmp_path: Path) -> None:
    folder = write_clinic(tmp_path / "elm", "elm")
    with KeeperService(ClinicFolder.open(folder)):
        told = cairn("--folder", folder)
        assert told.exit_code == 0
        assert "Nothing about patients was ever asked here" in told.output
        assert json.loads(cairn("--folder", folder, "--json").output) is None
        assert cairn("--folder", folder, "--export", "-").output == ""
        file = tmp_path / "none.jsonl"
        assert refused(cairn("--folder", folder, "--export", file)) == "policy.ledger-none"
        assert not file.exists()


def test_a_full_disk_is_no_export(running: ClinicFolder) -> None:
    result = cairn("--folder", running.path, "--export", "/dev/full")
    assert isinstance(result.exception, OSError)  # `main` says which file, and what to do


def test_two_people_restore_a_clinic(clinic: ClinicFolder, tmp_path: Path) -> None:
    with clinic.ledger() as ledger:
        assert not ledger.witness(b"h" * 32, 40)
    here = ("--folder", clinic.path)
    with KeeperService(clinic):
        assert "STOPPED" in cairn(*here).output
        assert refused(cairn("restore", *here, "--person", "Ada", "--all-named")) in (
            "input.keeper-running",
            "input.ledger-locked",
        )
    assert refused(cairn("restore", *here, "--person", "Ada")) == "input.restore-choice"
    assert refused(cairn("restore", *here, "--person", "Ada", "--agree")) == (
        "policy.restore-not-proposed"
    )
    proposed = cairn("restore", *here, "--person", "Ada Lovelace", "--all-named")
    assert proposed.exit_code == 0, proposed.output
    assert "until a second person agrees" in proposed.output
    assert "waiting" in proposed.output
    assert refused(cairn("restore", *here, "--person", "ada lovelace", "--agree")) == (
        "policy.restore-same-person"
    )
    agreed = cairn("restore", *here, "--person", "Grace Hopper", "--agree")
    assert agreed.exit_code == 0, agreed.output
    assert "Grace Hopper agrees with Ada Lovelace" in agreed.output
    with KeeperService(clinic) as service:
        told = cairn(*here)
        assert service._store.epoch > 40, "boots count on from the lost ones"
    assert "STOPPED" not in told.output
    assert "by Ada Lovelace, agreed" in told.output
    assert "0% left" in told.output
    assert "charged for the gap of a restored ledger" in told.output


def test_a_study_approved_since_the_backup_is_named_by_its_file(
    clinic: ClinicFolder, tmp_path: Path
) -> None:
    from keeper_bench import STUDY

    file = tmp_path / "since.toml"
    file.write_text(STUDY.replace("[cohort]", "[cohort]\nentry_until = 2025-12-31"))
    here = ("--folder", clinic.path)
    proposed = cairn("restore", *here, "--person", "Ada", "--all-named", "--study", file)
    assert proposed.exit_code == 0, proposed.output
    assert "tiny" in proposed.output
    assert "entered by the end of 2025-Q4" in proposed.output


def test_where_nobody_knows_everything_is_charged(clinic: ClinicFolder) -> None:
    here = ("--folder", clinic.path)
    proposed = cairn("restore", *here, "--person", "Ada", "--everything", "--json")
    assert json.loads(proposed.output)["everything_until"].startswith("20")
    assert cairn("restore", *here, "--person", "Grace", "--agree").exit_code == 0
    with clinic.ledger() as ledger:
        assert ledger.left() == 0.0
        assert ledger.left(blocks=Blocks.of_window(date(2099, 1, 1), None)) > 0


def test_files_of_another_user_are_left_alone(
    clinic: ClinicFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    code = refused(cairn("restore", "--folder", clinic.path, "--person", "Ada", "--everything"))
    assert code == "input.restore-user"
