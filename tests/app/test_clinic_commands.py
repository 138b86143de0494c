"""A clinic's commands as its people type them, over a keeper and a link that really run."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from click.testing import Result
from typer.testing import CliRunner

import cairn_app
from cairn_app.cli import app
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.enrolment import pin_team
from cairn_client.link_report import link_standing
from cairn_client.sockets import Sockets
from cairn_protocol.errors import CairnError, InputError, PolicyRefusal
from cairn_protocol.identity import Identity, fingerprint
from cairn_protocol.messages import KeyPackage, Offer, OpenRun, Refusal, Standing, decode
from cairn_protocol.record import Message
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from cairn_server.coordinator import GridExchange
from cairn_server.fleet import FleetEndpoint
from fleet_nodes import Authority, authority
from keeper_bench import STUDY, write_clinic
from link_bench import public_key

KEEPER, LINK = "daemon", "nobody"  # users that every machine has
ROOT = Path(__file__).parents[1]
AS_ROOT = os.geteuid() == 0


def cairn(*words: object, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["clinic", *map(str, words)], input=typed)


def error_of(result: Result) -> CairnError:
    assert isinstance(result.exception, CairnError), result.output
    return result.exception


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may pass through, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="cairn-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def team_tls(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("team"))


class Running:
    """A clinic with keeper and link as processes, and the server that a test plays."""

    def __init__(
        self,
        folder: Path,
        fleet: FleetEndpoint,
        tls: Authority,
        *options: str,
        private: bool = False,
    ) -> None:
        self.folder = write_clinic(folder, "ash")
        folder.chmod(0o711)
        if private:
            for record in (*folder.glob("*.csv"), folder / "mapping.toml"):
                shutil.chown(record, KEEPER)
                record.chmod(0o600)
        assert cairn("init", self.folder).exit_code == 0
        self.clinic = ClinicFolder.open(self.folder)
        self.team = Identity.generate()
        pin_team(self.clinic, self.team.public)
        link = self.folder / "link"
        (link / "ca.pem").write_bytes(tls.ca)
        host, port = fleet.address
        (link / "link.toml").write_text(f'fleet = "https://{host}:{port}"\n')
        self.node = fleet.enrol(public_key(self.folder))
        self.exchange = GridExchange(fleet.grid("tiny"))
        study = Study.parse(STUDY.encode())
        self.signed = SignedStudy.sign(study, self.team)
        keys = {name: Identity.generate().public for name in ("elm", "oak")}
        keys["ash"] = self.clinic.identity().public
        self.marks = {name: fingerprint(key) for name, key in keys.items()}
        self.roster = SignedRoster.sign(Roster.first(self.signed, keys), self.team)
        command = "from cairn_app.cli import main; main()"
        words = ["clinic", "run", "--folder", str(self.folder), *options]
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", command, *words],
            stderr=(folder.parent / "log").open("wb"),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    @property
    def log(self) -> str:
        return (self.folder.parent / "log").read_text()

    def wait(self, state: str, seconds: float = 40) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            told = link_standing(self.folder)
            if told and told.alive and told.state == state and Sockets(self.folder).admin.exists():
                return
            time.sleep(0.05)
        raise AssertionError(self.log)

    def ask(self, stage: str, message: Message) -> Message:
        return decode(self.exchange(stage, {self.node: message.to_bytes()}, 30)[self.node])

    def children(self) -> dict[str, int]:
        """Process id by part."""
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
                words = (stat.parent / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if parent == self.process.pid and b"run" in words:
                found[words[words.index(b"run") + 1].decode()] = int(stat.parent.name)
        return found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def fleet(team_tls: Authority) -> Iterator[FleetEndpoint]:
    with FleetEndpoint(None, "127.0.0.1", 0, team_tls.certificate, team_tls.key) as endpoint:
        yield endpoint


@pytest.fixture
def running(place: Path, fleet: FleetEndpoint, team_tls: Authority) -> Iterator[Running]:
    r = Running(place / "ash", fleet, team_tls)
    try:
        r.wait("connected")
        yield r
    finally:
        r.stop()


def test_init_makes_keys_that_only_the_owner_reads_and_changes_nothing_later(place: Path) -> None:
    folder = place / "St Anne's Clinic"
    first = cairn("init", folder)
    assert first.exit_code == 0
    clinic = ClinicFolder.open(folder)
    assert clinic.config.name == "st-anne-s-clinic"
    assert clinic.identity().fingerprint in first.output
    assert "cairn clinic join" in first.output
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert cairn("init", folder, "--name", "other").exit_code == 0
    assert before == {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    for file in (folder / ".cairn" / "identity.key", folder / "link" / "node.key"):
        assert file.stat().st_mode & 0o777 == 0o600
    for made in (".cairn", "link", "run/admin"):
        assert (folder / made).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "words", [("offers",), ("show", "x"), ("approve", "x"), ("refuse", "x"), ("status",)]
)
def test_a_keeper_that_does_not_run_is_named(place: Path, words: tuple[str, ...]) -> None:
    cairn("init", place / "oak")
    error = error_of(cairn(*words, "--folder", place / "oak"))
    assert error.code == "input.keeper-unreachable"
    assert "cairn clinic run" in error.hint


def test_a_folder_that_is_no_clinics_is_named(place: Path) -> None:
    for words in (("offers",), ("run",), ("status",)):
        assert error_of(cairn(*words, "--folder", place)).code == "input.no-clinic-toml"


def test_a_clinic_that_has_not_joined_does_not_run(place: Path) -> None:
    cairn("init", place / "oak")
    error = error_of(cairn("run", "--folder", place / "oak"))
    assert error.code == "input.not-joined"


def test_from_an_offer_to_an_answer(running: Running) -> None:
    at = ("--folder", running.folder)
    assert "No study" in cairn("offers", *at).output
    opening = OpenRun(bytes(16), 0, running.signed, running.roster)
    standing = running.ask("query.offer", Offer(running.signed, running.roster))
    assert isinstance(standing, Standing)
    assert standing.state == "offered"
    assert isinstance(running.ask("query.open", opening), Refusal)

    listed = cairn("offers", *at).output
    assert "tiny" in listed
    assert "offered" in listed
    shown = cairn("show", "tiny", *at).output
    for said in (
        "A tiny study",
        running.team.fingerprint,
        running.clinic.identity().fingerprint,
        "No record, name, date or score of a patient leaves",
        "How much more or less PHQ-9 changes by week 8",
        "Any one patient can move them by at most",
        "(standard deviations)",
        "cairn clinic preview tiny",
        "right guesses",
        "1 of 3 verified, 2 needed; these are not: elm, oak",
        "could not answer",
        "cairn clinic verify NAME FINGERPRINT",
    ):
        assert said in " ".join(shown.split()), said
    looked = " ".join(cairn("preview", "tiny", *at).output.split())
    for said in (
        "do not send or show them",
        "4 patients are admitted, 4 add something. The bound cuts 0 of them (0%).",
        "waiting: people, each counts 0.5",
        "what leaves is this, masked",
        "This is the first of 2 rounds",
        f"cairn clinic preview tiny --question effect --folder {running.clinic.path}",
    ):
        assert said in looked, said
    machine = cairn("preview", "tiny", "--question", "effect", *at, "--json")
    assert "do not send or show them" in " ".join(machine.stderr.split())
    one = json.loads(machine.stdout)
    assert [len(q["own"]["sum"]) for q in one["questions"]] == [9]
    assert error_of(cairn("preview", "tiny", "--question", "no", *at)).code == (
        "policy.question-unknown"
    )
    early = error_of(cairn("approve", "tiny", *at, "--yes"))
    assert early.code == "policy.study-unanswerable"
    assert "cairn clinic verify" in early.hint
    wrong = error_of(cairn("verify", "elm", running.marks["oak"], *at))
    assert wrong.code == "policy.fingerprint-differs"
    verified = cairn("verify", "elm", *running.marks["elm"].split("-"), *at)
    assert verified.output == (
        "elm is verified: it takes part under the fingerprint that you heard\n"
        "  tiny: 2 of 3 verified, 2 needed; these are not: oak\n"
    )
    assert "2 of 3 verified" in cairn("offers", *at).output
    assert "cairn clinic approve tiny" in cairn("show", "tiny", *at).output

    refused = error_of(cairn("approve", "tiny", *at, typed="tinny\n"))
    assert refused.code == "input.not-confirmed"
    assert isinstance(running.ask("query.open", opening), Refusal)
    approved = cairn("approve", "tiny", *at, "--person", "Ada", typed="tiny\n")
    assert approved.exit_code == 0
    assert "approved by Ada" in approved.output
    assert isinstance(running.ask("query.open", opening), KeyPackage)
    keys = {e.clinic: e.identity for e in running.roster.roster.entries}
    other = SignedRoster.sign(running.roster.roster.next(keys), running.team)
    unseen = running.ask("query.open", OpenRun(bytes([1] * 16), 0, running.signed, other))
    assert isinstance(unseen, Refusal)
    assert unseen.code == "peer.roster-fork", "the roster that was looked at, and no other"

    status = cairn("status", *at).output
    assert "connected" in status
    assert "keys were agreed" in status
    assert running.team.fingerprint in status
    machine = json.loads(cairn("status", *at, "--json").output)
    assert machine["link"]["state"] == "connected"
    assert machine["studies"][0]["state"] == "approved"

    assert cairn("refuse", running.signed.digest.hex()[:12], *at, "--yes").exit_code == 0
    later = OpenRun(bytes(16), 1, running.signed, running.roster)
    assert isinstance(running.ask("query.open", later), Refusal)


def test_a_registry_vouches_for_clinics(running: Running, place: Path) -> None:
    at = ("--folder", running.folder)
    running.ask("query.offer", Offer(running.signed, running.roster))
    key, written = place / "board.key", place / "list.toml"
    made = members("key", key)
    board = made.output.split()[4]
    assert key.stat().st_mode & 0o777 == 0o600
    assert members("key", key).output == made.output, "a key that is there stays"
    written.write_text(
        'cairn = 1\nregistry = "Ethics board"\nissue = 1\n'
        f'[members]\nelm = "{running.marks["elm"]}"\noak = "{running.marks["oak"]}"\n'
    )
    signed = members("sign", written, "--key", key)
    assert signed.output.startswith("Signed list 1 of Ethics board: 2 clinics\n")
    file = place / "list.members"
    unknown = error_of(cairn("verify", "--list", file, *at))
    assert unknown.code == "policy.registry-unknown"
    stranger = running.marks["elm"]
    assert error_of(cairn("registry", "pin", stranger, file, *at)).code.endswith("differs")
    pinned = cairn("registry", "pin", board, file, *at).output
    assert pinned.startswith(f"Lists of Ethics board count from now on ({board}).")
    taken = cairn("verify", "--list", file, *at, "--person", "Ada").output
    assert taken == (
        "Took in list 1 of Ethics board: 2 added, 0 dropped\n  tiny: 3 of 3 verified, 2 needed\n"
    )
    assert f"Ethics board  {board}" in cairn("status", *at).output
    assert "on the list of Ethics board" in cairn("show", "tiny", *at).output
    assert "count no longer" in cairn("registry", "unpin", board, *at).output
    assert "1 of 3 verified" in cairn("offers", *at).output


def members(*words: object) -> Result:
    return CliRunner().invoke(app, ["members", *map(str, words)])


def test_a_registrys_slips_are_named(place: Path) -> None:
    key, written = place / "board.key", place / "list.toml"
    members("key", key)
    written.write_text('cairn = 1\nregistry = "B"\nissue = 1\n[members]\noak = "abcd"\n')
    assert error_of(members("sign", written, "--key", key)).code == "input.fingerprint-mistyped"
    assert error_of(members("sign", key, "--key", key)).code.startswith("input.")
    assert error_of(members("sign", written, "--key", written)).hint
    assert not (place / "list.members").exists()


def test_verify_asks_for_one_thing(place: Path) -> None:
    cairn("init", place / "oak")
    for words in ((), ("elm", "abcd", "--list", "x")):
        error = error_of(cairn("verify", *words, "--folder", place / "oak"))
        assert error.code == "input.verify-what"
        assert "--list FILE" in error.hint


def test_an_altered_study_and_another_teams_are_refused(running: Running) -> None:
    text = STUDY.replace("epsilon = 1.0", "epsilon = 8.0")
    other = Identity.generate()
    signed = SignedStudy.sign(Study.parse(text.encode()), other)
    keys = {e.clinic: e.identity for e in running.roster.roster.entries}
    roster = SignedRoster.sign(Roster.first(signed, keys), other)
    reply = running.ask("query.offer", Offer(signed, roster))
    assert isinstance(reply, Refusal)
    assert reply.code == "peer.study-forged"
    forged = SignedStudy(signed.source, running.team.public, running.signed.signature)
    reply = running.ask("query.offer", Offer(forged, roster))
    assert isinstance(reply, Refusal)
    assert "No study" in cairn("offers", "--folder", running.folder).output


def test_a_study_that_could_not_be_answered_cannot_be_approved(running: Running) -> None:
    text = STUDY.replace("= 3\n", "= 5\n")  # a policy for five clinics, a roster of three
    signed = SignedStudy.sign(Study.parse(text.encode()), running.team)
    keys = {e.clinic: e.identity for e in running.roster.roster.entries}
    roster = SignedRoster.sign(Roster.first(signed, keys), running.team)
    running.ask("query.offer", Offer(signed, roster))
    at = ("--folder", running.folder)
    assert "could not answer" in cairn("show", "tiny", *at).output
    error = error_of(cairn("approve", "tiny", *at, "--yes"))
    assert isinstance(error, PolicyRefusal)
    assert error.code == "policy.study-unanswerable"


def test_a_keeper_that_is_killed_is_started_again(running: Running) -> None:
    running.ask("query.offer", Offer(running.signed, running.roster))
    os.kill(running.children()["keeper"], signal.SIGKILL)
    standing = running.ask("query.offer", Offer(running.signed, running.roster))
    assert isinstance(standing, Standing)
    machine = json.loads(cairn("status", "--folder", running.folder, "--json").output)
    assert int(machine["epoch"]) == 2


def test_both_end_with_the_one_that_started_them(running: Running) -> None:
    children = running.children()
    assert set(children) == {"keeper", "link"}
    running.process.kill()
    running.process.wait()
    end = time.monotonic() + 20
    while time.monotonic() < end and any(Path(f"/proc/{n}").exists() for n in children.values()):
        time.sleep(0.05)
    assert not any(Path(f"/proc/{n}").exists() for n in children.values())


@pytest.fixture
def two_users() -> None:
    """Two other users that can run Cairn from here, or a skip that says why not."""
    if not AS_ROOT:
        pytest.skip("only root can run two processes as two users")
    for user in (KEEPER, LINK):
        for module in (grpc, cairn_app):  # read after the process has dropped to that user
            done = subprocess.run(
                ["/usr/bin/test", "-r", str(module.__file__)],
                user=user,
                group=pwd.getpwnam(user).pw_gid,
                extra_groups=[],
                cwd="/",
                check=False,
            )
            if done.returncode:
                pytest.skip(f"the user {user} cannot read this checkout and its environment")


@pytest.mark.usefixtures("two_users")
def test_as_two_users_the_link_can_read_nothing_and_call_only_forward(
    place: Path, fleet: FleetEndpoint, team_tls: Authority
) -> None:
    options = ("--keeper-user", KEEPER, "--link-user", LINK)
    r = Running(place / "ash", fleet, team_tls, *options, private=True)
    try:
        r.wait("connected")
        assert isinstance(r.ask("query.offer", Offer(r.signed, r.roster)), Standing)
        users = {part: Path(f"/proc/{n}").stat().st_uid for part, n in r.children().items()}
        assert users == {
            "keeper": pwd.getpwnam(KEEPER).pw_uid,
            "link": pwd.getpwnam(LINK).pw_uid,
        }
        private = [r.folder / ".cairn", *(r.folder / ".cairn").iterdir(), *r.folder.glob("*.csv")]
        private += [r.folder, r.folder / "run" / "admin", r.folder / "mapping.toml"]
        assert {p.name for p in private} >= {"identity.key", "keeper.sqlite", "scores.csv"}
        own = [r.folder / "link" / "node.key", r.folder / "link" / "ca.pem"]
        done = subprocess.run(
            [sys.executable, ROOT / "link_as_other_user.py", LINK, r.folder, *private, *own],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            timeout=60,
        )
        found = json.loads(done.stdout)
    finally:
        assert r.stop() == 0
    assert found["user"] == pwd.getpwnam(LINK).pw_uid
    assert found["readable"] == [str(path) for path in own]
    forward = found["link"].pop("/cairn.keeper.v1.Link/Forward")
    assert forward == "OK"
    assert set(found["link"].values()) == {"UNIMPLEMENTED"}
    assert set(found["admin"].values()) == {"UNAVAILABLE"}


@pytest.mark.usefixtures("two_users")
def test_as_two_users_a_clinic_whose_records_lie_open_does_not_run(
    place: Path, fleet: FleetEndpoint, team_tls: Authority
) -> None:
    options = ("--keeper-user", KEEPER, "--link-user", LINK)
    r = Running(place / "ash", fleet, team_tls, *options)
    try:
        assert r.process.wait(40) == 2
    finally:
        r.process.kill()
    assert "input.records-exposed" in r.log
    assert "chmod" in r.log


def test_a_link_that_could_read_records_does_not_start(place: Path) -> None:
    from cairn_client.separation import check_unreadable, private_files

    cairn("init", place)
    file = place / "export" / "scores.csv"
    file.parent.mkdir()
    file.write_text("patient\n")
    private = private_files(place)
    assert file in private
    assert place / ".cairn" / "identity.key" in private
    assert not any("link" in path.parts or path.name == "clinic.toml" for path in private)
    with pytest.raises(InputError) as caught:
        check_unreadable([file])
    assert caught.value.code == "input.records-exposed"


def test_a_name_that_no_clinic_may_have_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "clinic"
    command = ["clinic", "init", str(folder), "--name"]
    refused = CliRunner().invoke(app, [*command, "Klinik Köln"])
    assert isinstance(refused.exception, InputError)
    assert "name" in str(refused.exception)
    assert not (folder / "clinic.toml").exists()
    made = CliRunner().invoke(app, [*command, "klinik-koeln"], catch_exceptions=False)
    assert "klinik-koeln is ready" in made.stdout
