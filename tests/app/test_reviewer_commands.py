"""A clinic's reviewers at their commands: accounts, two approvals, a policy, leaving."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_client import passwords
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.enrolment import pin_team
from cairn_client.keeper_client import KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.passwords import Cost
from cairn_client.sockets import Sockets
from cairn_protocol.errors import CairnError
from cairn_protocol.identity import Identity, fingerprint
from cairn_protocol.messages import Offer, OpenRun, decode
from cairn_protocol.record import Message
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from keeper_bench import STUDY, write_clinic

PASSWORDS = {"anna": "annual turnip parade", "bob": "brown lanterns hum"}


class Clinic:
    """A clinic's keeper as a service, with an offered study, and its people's commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = write_clinic(folder, "ash")
        clinic = ClinicFolder.open(self.folder)
        team, elm = Identity.generate(), Identity.generate()
        pin_team(clinic, team.public)
        self.elm = fingerprint(elm.public)
        signed = SignedStudy.sign(Study.parse(STUDY.encode()), team)
        keys = {"ash": clinic.identity().public, "elm": elm.public}
        roster = SignedRoster.sign(
            Roster.first(signed, {**keys, "oak": Identity.generate().public}), team
        )
        self.offer, self.opening = Offer(signed, roster), OpenRun(bytes(16), 0, signed, roster)
        self.team = team.fingerprint
        self.files = {name: self.secret(name, word) for name, word in PASSWORDS.items()}
        for name in ("link.toml", "ca.pem", "node.key"):
            (self.folder / "link").mkdir(exist_ok=True)
            (self.folder / "link" / name).write_text("x")

    def secret(self, name: str, password: str) -> Path:
        file = self.folder.parent / name
        file.write_text(password + "\n")
        file.chmod(0o600)
        return file

    def ask(self, message: Message) -> str:
        with KeeperClient(Sockets(self.folder).link) as link:
            reply = decode(link.forward(message.to_bytes()))
        return getattr(reply, "code", type(reply).__name__)

    def do(self, *words: object, by: str = "", typed: str = "") -> Result:
        signed_in = ("--person", by, "--password-file", self.files[by]) if by else ()
        every = ("clinic", *words, "--folder", self.folder, *signed_in)
        return CliRunner().invoke(app, [str(word) for word in every], input=typed)

    def says(self, *words: object, by: str = "", typed: str = "") -> str:
        result = self.do(*words, by=by, typed=typed)
        assert result.exit_code == 0, result.exception or result.output
        return result.output

    def code(self, *words: object, by: str = "", typed: str = "") -> str:
        error = self.do(*words, by=by, typed=typed).exception
        assert isinstance(error, CairnError), error
        return error.code


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clinic]:
    monkeypatch.setattr(passwords, "COST", Cost(memory_kib=64, passes=1, lanes=1))
    made = Clinic(tmp_path / "ash")
    with KeeperService(ClinicFolder.open(made.folder)):
        made.ask(made.offer)
        yield made


def add(clinic: Clinic, name: str, by: str = "") -> str:
    return clinic.says("reviewer", "add", name, "--new-password-file", clinic.files[name], by=by)


def test_from_the_first_account_to_two_approvals_a_pause_and_leaving(clinic: Clinic) -> None:
    (clinic.folder / "policy.toml").write_text("approvals = 2\n")
    assert "No account" in clinic.says("reviewer", "list")
    clinic.says("verify", "elm", clinic.elm, "--person", "Ada")
    assert clinic.code("approve", "tiny", "--yes") == "policy.accounts-needed"
    assert "From now on every decision" in add(clinic, "anna")
    assert clinic.code("approve", "tiny", "--yes") == "input.decision", "nobody is named"
    words = ("approve", "tiny", "--yes", "--person", "anna")
    assert clinic.code(*words) == "input.password-terminal"
    add(clinic, "bob", by="anna")
    assert "bob   added" in clinic.says("reviewer", "list")
    assert "two reviewers approve" in clinic.says("reviewer", "list")

    assert "two approvals needed, by two reviewers" in clinic.says("show", "tiny")
    told = clinic.says("approve", "tiny", by="anna", typed="tiny\n")
    assert "tiny: offered, approved by anna, one more needed" in told
    assert "approved by anna, one more needed" in clinic.says("offers")
    assert "offered; approved by anna, one more needed" in clinic.says("show", "tiny")
    assert clinic.ask(clinic.opening) == "policy.study-not-approved"
    told = clinic.says("approve", "tiny", "--yes", by="bob")
    assert "tiny: approved by anna and bob" in told
    assert "approved by anna and bob on" in clinic.says("show", "tiny")
    assert clinic.ask(clinic.opening) == "KeyPackage"

    assert "paused by anna" in clinic.says("pause", "tiny", "--yes", by="anna")
    assert clinic.ask(clinic.opening) == "policy.study-not-approved"
    assert clinic.code("verify", "elm", clinic.elm) == "input.decision"
    left = clinic.says("leave", "tiny", by="bob", typed="tiny\n")
    assert "tiny: left by bob; the keys of 1 run were erased" in left
    assert clinic.code("approve", "tiny", "--yes", by="anna") == "policy.study-left"
    assert "left by bob" in clinic.says("show", "tiny")


def test_where_two_are_needed_two_make_an_account(clinic: Clinic) -> None:
    (clinic.folder / "policy.toml").write_text("approvals = 2\n")
    add(clinic, "anna")
    add(clinic, "bob", by="anna")
    new = ("--new-password-file", clinic.secret("carla", "quiet green afternoon"))
    assert clinic.code("reviewer", "add", "carla", *new, by="anna") == "policy.second-reviewer"
    second = ("--second", "bob", "--second-password-file", clinic.files["bob"])
    assert "carla" in clinic.says("reviewer", "add", "carla", *new, *second, by="anna")
    assert clinic.code("reviewer", "remove", "bob", by="anna") == "policy.second-reviewer"
    assert "bob" not in clinic.says("reviewer", "remove", "bob", *second, by="anna").split()


def test_a_password_is_changed_by_whoever_knows_it(clinic: Clinic) -> None:
    add(clinic, "anna")
    new = clinic.secret("new", "quiet green afternoon")
    words = ("reviewer", "password", "anna", "--new-password-file", new)
    assert clinic.code(*words, "--password-file", new) == "policy.sign-in-refused"
    assert "is changed" in clinic.says(*words, "--password-file", "-", typed=PASSWORDS["anna"])
    assert clinic.code("pause", "tiny", "--yes", by="anna") == "policy.sign-in-refused"
    assert clinic.code("reviewer", "reset", "anna", "--new-password-file", new).endswith("running")


def test_a_password_that_others_can_read_is_not_taken(clinic: Clinic) -> None:
    clinic.files["anna"].chmod(0o644)
    words = ("reviewer", "add", "anna", "--new-password-file", clinic.files["anna"])
    assert clinic.code(*words) == "input.password-file"


def test_a_policy_stands_in_the_way_of_an_approval_and_says_what_to_do(clinic: Clinic) -> None:
    clinic.says("verify", "elm", clinic.elm, "--person", "Ada")
    policy = clinic.folder / "policy.toml"
    policy.write_text('max_epsilon_study = 1.0\nquestions = ["effect"]\n')
    shown = " ".join(clinic.says("show", "tiny").split())
    assert "max_epsilon_study is 1" in shown
    assert "it asks trajectory, which questions does not name" in shown
    assert "the research team may sign another study" in shown
    assert clinic.code("approve", "tiny", "--yes", "--person", "Ada") == "policy.study-unanswerable"
    policy.write_text("max_epsilon_study = 9\n")
    assert "two approvals needed" in clinic.says("offers"), "what can be seen can be paused"
    assert "lower max_epsilon_study to 8" in " ".join(clinic.says("show", "tiny").split())
    assert clinic.code("approve", "tiny", "--yes", "--person", "Ada") == "policy.study-unanswerable"
    policy.unlink()
    assert "approved by Ada" in clinic.says("approve", "tiny", "--yes", "--person", "Ada")


def test_a_clinic_leaves_its_research_team(clinic: Clinic) -> None:
    assert clinic.code("leave") == "input.leave-what"
    assert clinic.code("leave", "tiny", "--team") == "input.leave-what"
    assert clinic.code("leave", "--team", typed="tiny\n") == "input.not-confirmed"
    short = clinic.team.split("-")[0]
    told = clinic.says("leave", "--team", "--person", "Ada", typed=f"{short}\n")
    assert "Its studies here   tiny" in told
    assert "ash has left the research team" in told
    assert "docs/clinic-policy.md" in told
    assert list((clinic.folder / "link").iterdir()) == []
    assert clinic.ask(clinic.offer) == "policy.team-unknown"
    assert (clinic.folder / "scores.csv").exists()
    assert clinic.code("leave", "--team", "--yes") == "policy.team-unknown"
