"""`cairn clinic log` as a data protection officer types it, on a keeper and without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from audit_export import TEAM, Kept
from cairn_app.cli import app
from cairn_client.audit_log.kinds import event
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper_client import KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.sockets import Sockets
from cairn_protocol.errors import CairnError
from cairn_protocol.identity import Identity
from cairn_protocol.messages import AuditHead, AuditReceipt, AuditRequest, decode
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_protocol.proto import reviewers_pb2
from keeper_bench import write_clinic

REVIEWERS = "cairn.keeper.v1.Reviewers"


def cairn(*words: object) -> Result:
    return CliRunner().invoke(app, ["clinic", "log", *map(str, words)])


def refused(result: Result) -> CairnError:
    assert isinstance(result.exception, CairnError), result.output
    return result.exception


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClinicFolder]:
    """A running keeper whose people signed in, with one receipt, and one decision since."""
    folder = ClinicFolder.open(write_clinic(Path(tmp_path_factory.mktemp("log")) / "oak", "oak"))
    sockets = Sockets(folder.path)
    with (
        KeeperService(folder),
        KeeperClient(sockets.admin) as people,
        KeeperClient(sockets.link) as link,
    ):
        people.admin("PinTeam", pb.PinTeamRequest(public=TEAM.public), pb.PinTeamReply)
        ada = {"name": "Ada Lovelace", "password": "a correct horse battery"}
        asked = reviewers_pb2.AddReviewerRequest(**ada)
        people.admin("AddReviewer", asked, reviewers_pb2.ReviewersReply, service=REVIEWERS)
        wrong = reviewers_pb2.SignInRequest(name="Ada Lovelace", password="a wrong one, typed")
        with pytest.raises(CairnError):
            people.admin("SignIn", wrong, reviewers_pb2.Session, service=REVIEWERS)
        head = decode(link.forward(AuditRequest(1, ()).to_bytes()))
        assert isinstance(head, AuditHead)
        receipt = AuditReceipt.sign(head, 1_760_000_000, TEAM)
        link.forward(AuditRequest(1, (receipt,)).to_bytes())
        asked_in = reviewers_pb2.SignInRequest(**ada)
        people.admin("SignIn", asked_in, reviewers_pb2.Session, service=REVIEWERS)
        yield folder


@pytest.fixture(scope="module")
def exported(clinic: ClinicFolder) -> Path:
    file = clinic.path.parent / "oak.audit"
    told = cairn("export", file, "--folder", clinic.path)
    assert told.exit_code == 0, told.output
    assert f"--team {TEAM.fingerprint}" in told.output
    return file


def test_it_shows_what_happened_and_how_far_it_is_countersigned(clinic: ClinicFolder) -> None:
    told = cairn("--folder", clinic.path)
    assert told.exit_code == 0, told.output
    assert max(len(line) for line in told.output.splitlines()) <= 96
    words = " ".join(told.output.split())
    for expected in (
        "This log of oak begins",
        "The keeper started, boot 1",
        "The account of Ada Lovelace was made",
        "Ada Lovelace signed in",
        "Countersigned up to entry 6, 2025-10-09",
    ):
        assert expected in words, told.output
    assert "A sign-in was refused" in words
    assert "typed" not in told.output, "what was typed may be a password"
    assert "horse" not in told.output


def test_json_and_last_and_all(clinic: ClinicFolder) -> None:
    told = json.loads(cairn("--json", "--last", 2, "--folder", clinic.path).output)
    assert [entry["kind"] for entry in told["entries"]] == ["not-signed-in", "signed-in"]
    assert told["standing"]["covered"] == "6"
    everything = json.loads(cairn("--json", "--all", "--folder", clinic.path).output)
    assert [int(entry["number"]) for entry in everything["entries"]] == list(range(1, 8))


def test_an_export_is_private_and_never_overwritten(clinic: ClinicFolder, exported: Path) -> None:
    assert exported.stat().st_mode & 0o777 == 0o600
    again = cairn("export", exported, "--folder", clinic.path)
    assert refused(again).code == "input.file-exists"


def test_a_check_says_what_is_proven_and_what_not(exported: Path) -> None:
    told = cairn("verify", exported, "--team", TEAM.fingerprint)
    assert told.exit_code == 0, told.output
    assert max(len(line) for line in told.output.splitlines() if "oak.audit" not in line) <= 96
    words = " ".join(told.output.split())
    assert "Entries 1 to 6 were so on 2025-10-09" in words
    assert "One entry after the last receipt: the clinic's word alone." in words
    assert "Not proven" not in words
    assert "give it with --head" in words


def test_an_unknown_key_proves_nothing_to_a_stranger(exported: Path) -> None:
    told = cairn("verify", exported)
    assert told.exit_code == 8
    assert "Whose key countersigned it" in " ".join(told.output.split())
    as_json = cairn("verify", exported, "--json")
    assert as_json.exit_code == 8
    assert len(json.loads(as_json.output)["not_proven"]) == 1


def test_another_team_is_not_the_one(exported: Path) -> None:
    other = cairn("verify", exported, "--team", Identity.generate().fingerprint)
    assert refused(other).exit_status == 9


@pytest.mark.parametrize(
    ("change", "into"), [("Ada", "Eve"), ("oak", "elm"), ('"number":1', '"number":2')]
)
def test_an_altered_log_has_a_status_of_its_own(
    exported: Path, tmp_path: Path, change: str, into: str
) -> None:
    other = tmp_path / "other"
    other.write_text(exported.read_text().replace(change, into))
    error = refused(cairn("verify", other, "--team", TEAM.fingerprint))
    assert error.exit_status == 9
    assert error.code == "input.audit-log-altered"


def test_a_log_cut_after_a_receipt_fails_against_the_servers_head(tmp_path: Path) -> None:
    kept = Kept.begun(tmp_path)
    early = kept.countersign()
    (tmp_path / "early").write_text(kept.export())
    kept.audit.append(event("signed-in", person="Ada"))
    newest = kept.countersign()
    (tmp_path / "whole").write_text(kept.export())
    team = ("--team", TEAM.fingerprint)
    assert cairn("verify", tmp_path / "early", *team).exit_code == 0
    assert cairn("verify", tmp_path / "early", *team, "--head", early.head.hex()).exit_code == 0
    cut = cairn("verify", tmp_path / "early", *team, "--head", newest.head.hex())
    assert refused(cut).exit_status == 9
    since = cairn("verify", tmp_path / "early", *team, "--since", tmp_path / "whole")
    assert refused(since).exit_status == 9
    assert cairn("verify", tmp_path / "whole", "--since", tmp_path / "early", *team).exit_code == 0
    kept.audit.close()


def test_what_is_no_log_is_a_slip(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"\xff\xfe")
    assert refused(cairn("verify", file)).exit_status == 9
    file.write_text("{}")
    assert refused(cairn("verify", file)).exit_status == 2
    assert refused(cairn("verify", tmp_path / "none")).exit_status == 2
    file.write_text("")
    assert refused(cairn("verify", file, "--head", "zz")).exit_status == 2
