"""What a clinic's people may ask of their records, through admin.sock: exact, and nobody's name."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.imports.found import FOUND
from cairn_client.imports.run import dry_run, run_import
from cairn_client.imports.running import ImportRuns
from cairn_client.imports.store import ImportFindings
from cairn_client.keeper_client import LINK, KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.records_admin import SERVICE
from cairn_client.sockets import Sockets
from cairn_protocol.errors import CairnError, InputError, PolicyRefusal
from cairn_protocol.proto import records_pb2 as pb
from cairn_protocol.proto import reviewers_pb2
from keeper_bench import write_clinic

TODAY = date(2024, 6, 30)
PASSWORD = "walrus lantern cobalt"


class Served:
    """A keeper over a small clinic, and its people's client."""

    def __init__(self, folder: Path, people: KeeperClient) -> None:
        self.folder = folder
        self.people = people

    def ask(self, method: str, request: object, reply: type) -> object:
        return self.people.admin(method, request, reply, service=SERVICE)  # type: ignore[arg-type]

    def settled(self, run: pb.ImportRun) -> pb.ImportRun:
        until = time.monotonic() + 30
        while run.state == "running":
            assert time.monotonic() < until
            time.sleep(0.05)
            run = self.ask("Run", pb.RunRequest(), pb.ImportRun)
        return run

    def session(self) -> str:
        made = reviewers_pb2.AddReviewerRequest(name="Ada", password=PASSWORD)
        service = "cairn.keeper.v1.Reviewers"
        self.people.admin("AddReviewer", made, reviewers_pb2.ReviewersReply, service=service)
        asked = reviewers_pb2.SignInRequest(name="Ada", password=PASSWORD)
        return self.people.admin("SignIn", asked, reviewers_pb2.Session, service=service).token


def faulty(folder: Path) -> Path:
    """A clinic with four patients, two rows that cannot be used, and one that repeats another."""
    write_clinic(folder, "oak")
    with (folder / "scores.csv").open("a") as scores:
        scores.write("SECRET-oak-0,4,PHQ-9,99\nSECRET-oak-1,x,PHQ-9,7\nSECRET-oak-0,0,PHQ-9,17\n")
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One keeper for the tests that only look; it has imported once."""
    folder = faulty(tmp_path_factory.mktemp("records") / "oak")
    with (
        pytest.MonkeyPatch.context() as here,
        KeeperService(ClinicFolder.open(folder)),
        KeeperClient(Sockets(folder).admin) as people,
    ):
        here.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        one = Served(folder, people)
        with pytest.raises(InputError, match="nothing-found"):
            one.ask("Quality", pb.QualityRequest(), pb.QualityReply)
        assert one.ask("Run", pb.RunRequest(), pb.ImportRun).state == "none"
        run = one.settled(one.ask("Import", pb.ImportRequest(person="Ada"), pb.ImportRun))
        assert (run.state, run.person, run.line.number) == ("kept", "Ada", 1)
        yield one


def test_an_import_by_the_keeper_is_kept_and_in_the_history(served: Served) -> None:
    reply = served.ask("Imports", pb.ImportsRequest(), pb.ImportsReply)
    line = reply.imports[-1]
    assert (line.outcome, line.patients, line.set_aside) == ("kept", 4, 2)
    assert {t.name: t.count for t in line.rows} == {"scores": 8, "engagement": 0, "wearables": 0}
    assert len(line.source) == len(line.records) == 64
    assert (served.folder / ".cairn" / "records.sealed").exists()


def test_quality_is_the_report_in_numbers(served: Served) -> None:
    reply = served.ask("Quality", pb.QualityRequest(), pb.QualityReply)
    (phq,) = reply.instruments
    assert (phq.name, phq.rows, phq.patients, phq.highest) == ("PHQ-9", 8, 4, 27)
    assert {(w.week, w.scored, w.followed) for w in phq.weeks} >= {(0, 4, 4), (8, 4, 4), (4, 0, 4)}
    (group,) = reply.groups
    assert (group.of, group.patients, group.small) == ("arm", 4, True)
    assert "waiting" not in str(reply), "an arm of two patients is counted, not named"
    faults = {f.code: (f.rows, f.set_aside) for f in reply.faults}
    assert faults == {
        "score-out-of-range": (1, True),
        "number-unreadable": (1, True),
        "duplicate-row": (1, False),
    }
    assert "2 rows were set aside" in reply.attention
    assert reply.studies_known, "the importer asked the keeper that started it"
    assert "SECRET" not in str(reply)


def test_the_page_names_rows_to_a_reviewer_only(served: Served) -> None:
    def page(session: str = "") -> str:
        asked = pb.ReadinessPageRequest(session=session)
        return served.ask("ReadinessPage", asked, pb.ReadinessPageReply).html.decode()

    lines = len((served.folder / "scores.csv").read_text().splitlines())
    cell = f"<td>{lines - 2}</td></tr>"
    assert "For this clinic alone" in page()
    assert "score-out-of-range" in page()
    assert cell not in page()
    with pytest.raises(PolicyRefusal, match="session"):
        served.ask("Quarantine", pb.QuarantineRequest(), pb.QuarantineReply)
    with pytest.raises(PolicyRefusal, match="session"):
        page("0" * 64)
    token = served.session()
    assert cell in page(token)
    everything = served.ask("Quarantine", pb.QuarantineRequest(session=token), pb.QuarantineReply)
    assert everything.total == 2
    assert [(r.file, r.row, r.code) for r in everything.rows] == [
        ("scores.csv", lines - 2, "score-out-of-range"),
        ("scores.csv", lines - 1, "number-unreadable"),
    ]
    assert all(r.reason and r.remedy for r in everything.rows)
    assert "SECRET" not in str(everything)
    one = pb.QuarantineRequest(session=token, code="number-unreadable")
    assert served.ask("Quarantine", one, pb.QuarantineReply).total == 1
    rest = pb.QuarantineRequest(session=token, after=1)
    assert len(served.ask("Quarantine", rest, pb.QuarantineReply).rows) == 1
    (served.folder / "password").write_text(PASSWORD)
    (served.folder / "password").chmod(0o600)
    words = ["clinic", "records", "quarantine", "--folder", str(served.folder), "--person", "Ada"]
    said = CliRunner().invoke(app, [*words, "--password-file", str(served.folder / "password")])
    assert "2 rows were set aside" in said.output
    assert f"scores.csv:{lines - 1}" in said.output
    with pytest.raises(PolicyRefusal, match="session"):
        served.ask("Import", pb.ImportRequest(person="Ada", accept_loss=True), pb.ImportRun)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("imports", "import 1  4 patients  2 rows aside"),
        ("quality", "2 rows were set aside"),
        ("consent", "The mapping names no consent"),
    ],
)
def test_the_commands_say_the_same(served: Served, command: str, words: str) -> None:
    asked = ["clinic", "records", command, "--folder", str(served.folder)]
    said = CliRunner().invoke(app, asked).output
    assert words in said
    assert "SECRET" not in said


def test_the_link_socket_serves_none_of_it(served: Served) -> None:
    with KeeperClient(Sockets(served.folder).link) as link, pytest.raises(CairnError) as told:
        link.admin("Quality", pb.QualityRequest(), pb.QualityReply, service=SERVICE)
    assert told.value.why == "unimplemented"
    assert LINK != SERVICE


def test_a_dry_run_is_looked_at_apart_and_gives_way_to_an_import(served: Served) -> None:
    scores = served.folder / "scores.csv"
    before = scores.read_text()
    scores.write_text("".join(before.splitlines(keepends=True)[:3]))
    try:
        asked = pb.DryRunRequest(person="Ada")
        run = served.settled(served.ask("DryRun", asked, pb.ImportRun))
        assert (run.state, run.line.code) == ("looked", "policy.import-loss")
        tried = pb.QualityRequest(of=pb.ATTEMPT_TRIED)
        assert served.ask("Quality", tried, pb.QualityReply).instruments[0].rows == 2
        kept = served.ask("Quality", pb.QualityRequest(), pb.QualityReply)
        assert kept.instruments[0].rows == 8
        with pytest.raises(PolicyRefusal, match="import-loss"):
            run_import(ClinicFolder.open(served.folder), "Ada", list)
        assert served.ask("Quality", tried, pb.QualityReply).line.outcome == "refused"
    finally:
        scores.write_text(before)
    again = run_import(ClinicFolder.open(served.folder), "Ada", list).found.line
    assert (again.outcome, again.number) == ("unchanged", 1)
    with pytest.raises(InputError, match="nothing-found"):
        served.ask("Quality", tried, pb.QualityReply)
    lines = served.ask("Imports", pb.ImportsRequest(), pb.ImportsReply).imports
    assert [line.outcome for line in lines] == ["unchanged", "refused", "kept"]
    older = pb.ImportsRequest(before=lines[0].place)
    assert len(served.ask("Imports", older, pb.ImportsReply).imports) == 2


def test_whoever_may_only_ask_the_keeper_imports_through_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn_client.imports.rights.may_import", lambda *_, **__: False)
    report = served.folder / "data.html"
    words = ["clinic", "import", "--folder", str(served.folder), "--dry-run", "--report", report]
    said = CliRunner().invoke(app, [str(word) for word in words]).output
    assert "4 patients" in said
    assert "Nothing was kept" in said
    assert "score-out-of-range · 1 row set aside" in said
    assert "SECRET" not in said
    assert report.stat().st_mode & 0o777 == 0o600
    report.unlink()


# What is kept


@pytest.fixture
def clinic(tmp_path: Path) -> ClinicFolder:
    return ClinicFolder.open(faulty(tmp_path / "oak"))


def findings_of(clinic: ClinicFolder) -> ImportFindings:
    return ImportFindings(clinic.state, clinic.identity())


def test_findings_come_back_as_they_were(clinic: ClinicFolder) -> None:
    ran = run_import(clinic, "Ada", list, day=TODAY)
    findings = findings_of(clinic)
    assert findings.found() == ran.found
    assert FOUND.validate_json(FOUND.dump_json(ran.found)) == ran.found
    assert findings.quarantine().equals(ran.read.quarantine)
    assert findings.history() == (ran.found.line,)
    for file in clinic.state.glob("*.sealed"):
        data = file.read_bytes()
        assert b"SECRET" not in data
        assert b"score" not in data
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["import-kept.sealed", "imports.sealed"])
def test_findings_that_were_changed_are_said_and_mended_by_an_import(
    clinic: ClinicFolder, name: str
) -> None:
    run_import(clinic, "Ada", list, day=TODAY)
    file = clinic.state / name
    data = bytearray(file.read_bytes())
    data[60] ^= 1
    file.write_bytes(data)
    findings = findings_of(clinic)
    with pytest.raises(InputError, match="findings-damaged"):
        findings.found() if "kept" in name else findings.history()
    ran = run_import(clinic, "Ada", list, day=TODAY)
    assert ran.found.line.outcome == "unchanged"
    assert findings.found() == ran.found
    assert findings.history()[-1] == ran.found.line


def test_findings_of_one_kind_do_not_pass_for_the_other(clinic: ClinicFolder) -> None:
    run_import(clinic, "Ada", list, day=TODAY)
    dry_run(clinic, "Ada", list, TODAY)
    tried = clinic.state / "import-tried.sealed"
    (clinic.state / "import-kept.sealed").write_bytes(tried.read_bytes())
    with pytest.raises(InputError, match="findings-damaged"):
        findings_of(clinic).found()


def test_files_that_cannot_be_read_are_in_the_history(clinic: ClinicFolder) -> None:
    dry_run(clinic, "Ada", list, TODAY)
    (clinic.path / "scores.csv").unlink()
    with pytest.raises(InputError):
        run_import(clinic, "Ada", list, day=TODAY)
    (line,) = findings_of(clinic).history()
    assert (line.outcome, line.code, line.patients) == ("refused", "input.file-missing", 0)
    assert findings_of(clinic).found("tried") is None, "what was tried was another export"


# The importer


def test_one_importer_at_a_time_and_a_broken_one_is_said(tmp_path: Path) -> None:
    runs = ImportRuns(tmp_path, [sys.executable, "-c", "import time; time.sleep(60)"])
    assert runs.start("Ada").state == "running"
    with pytest.raises(InputError, match="import-running"):
        runs.start("Bo")
    runs.stop()
    assert runs.newest.state == "failed"
    for words in ("raise SystemExit(1)", "print('no JSON')", "print('[]')", "print('{}')"):
        broken = ImportRuns(tmp_path, [sys.executable, "-c", words])
        broken.start("Ada")
        assert broken.wait(10).state == "failed"
    assert ImportRuns(tmp_path, ["/no/such/importer"]).newest.state == "none"
    absent = ImportRuns(tmp_path, ["/no/such/importer"])
    absent.start("Ada")
    assert absent.wait(10).state == "failed"
    ended = absent.newest.ended_at
    assert ended is not None
    assert ended <= datetime.now(UTC)
