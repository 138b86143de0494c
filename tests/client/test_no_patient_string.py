"""A string seeded into a patient's records is looked for wherever a clinic's machine leaves words.

Import, a keeper over its sockets, a study's round, readers that break, a killed process: what they
write, print, log, send or leave behind must not hold it. The clinic's own files, and the quarantine
and the store that are made of them, are where it may stand.
"""

from __future__ import annotations

import ast
import importlib
import logging
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.doctor import examine
from cairn_client.hardened import unforeseen
from cairn_client.importing import import_records
from cairn_client.imports.run import run_import
from cairn_client.keeper import Keeper
from cairn_client.keeper_client import LINK, OUTGOING, KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.log_events import EVENTS, AllowListed, without_words
from cairn_client.records_admin import SERVICE as RECORDS
from cairn_client.sockets import Sockets
from cairn_protocol.errors import CairnError
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_protocol.proto import outgoing_pb2 as out
from cairn_protocol.proto import records_pb2 as records
from keeper_bench import Bench, write_clinic

Make = Callable[..., Bench]
ROOT = Path(__file__).parents[2]
SEED = "Zwyrtek"  # a surname; it is also written into identifiers
WEEK = 7.3519  # of a score; no other week is like it
MAY_HOLD = {"patients.csv", "scores.csv", "quarantine.csv"}  # the clinic's own, and made of them


def seeded(folder: Path, name: str = "ash") -> Path:
    """A clinic with the seed in identifiers, in an arm, and where a number should be."""
    return seed_into(write_clinic(folder, name), name)


def seed_into(folder: Path, name: str = "ash") -> Path:
    """The same of a clinic that is there."""
    for file in folder.glob("*.csv"):
        file.write_text(file.read_text().replace("SECRET", SEED))
    with (folder / "scores.csv").open("a") as scores:
        scores.write(f"{SEED}-{name}-0,4,PHQ-9,{SEED}\n{SEED}-{name}-1,{SEED},PHQ-9,7\n")
    with (folder / "patients.csv").open("a") as patients:
        patients.write(f"{SEED}-{name}-9,{SEED}\n")
    return folder


def with_a_rare_week(clinic: ClinicFolder) -> Path:
    """A clinic that is there, seeded, with one score in a week that nothing else could explain,
    and imported."""
    folder = seed_into(clinic.path)
    with (folder / "scores.csv").open("a") as scores:
        scores.write(f"{SEED}-ash-0,{WEEK},PHQ-9,13\n")
    import_records(clinic)
    return folder


def traces(of: float) -> tuple[bytes, ...]:
    """How a number may stand in a file, a line or a message."""
    digits = str(of)[: len("-0.12345")].encode()  # however many more were printed
    return digits, *(struct.pack(form, of) for form in ("<d", ">d", "<f"))


def files_with_seed(folder: Path) -> set[str]:
    return {
        str(file.relative_to(folder))
        for file in folder.rglob("*")
        if file.is_file() and SEED.encode() in file.read_bytes()
    } - MAY_HOLD


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """Every line that the clinic's log would hold, in the format of its services."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler, root = Kept(), logging.getLogger()
    handler.setFormatter(AllowListed())
    ours = logging.getLogger("cairn")
    before = root.level, ours.level, ours.propagate
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    ours.setLevel(logging.DEBUG)
    ours.propagate = True
    yield lines
    root.removeHandler(handler)
    root.setLevel(before[0])
    ours.setLevel(before[1])
    ours.propagate = before[2]
    printed = capsys.readouterr()
    assert SEED not in printed.out + printed.err + "\n".join(lines)


def test_an_import_says_nothing_of_whom_it_read(tmp_path: Path, written: list[str]) -> None:
    folder = seeded(tmp_path / "ash")
    command = "from cairn_app.cli import main; main()"
    for words in (["import", "--dry-run"], ["import"], ["import", "--json"], ["doctor", "--all"]):
        done = subprocess.run(
            [sys.executable, "-P", "-c", command, "clinic", *words, "--folder", str(folder)],
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "CAIRN_LOG": "debug"},
        )
        assert SEED.encode() not in done.stdout + done.stderr
    assert files_with_seed(folder) == set()
    assert not written


def test_a_round_leaves_nothing_of_a_patient(
    bench: Make, written: list[str], tmp_path: Path
) -> None:
    b = bench()
    b.set_up()
    replies = b.everyone(b.requests())
    assert replies
    for reply in replies:
        assert b"SECRET" not in reply.to_bytes()
    for keeper in b.keepers:
        folder = keeper.clinic.path
        held = {f.name for f in folder.rglob("*") if f.is_file() and b"SECRET" in f.read_bytes()}
        assert held <= MAY_HOLD
    assert "SECRET" not in "\n".join(written)


def test_a_keeper_and_its_doctor_say_nothing(tmp_path: Path, written: list[str]) -> None:
    clinic = ClinicFolder.open(seeded(tmp_path / "ash"))
    with KeeperService(clinic), KeeperClient(Sockets(clinic.path).admin) as keeper:
        status = keeper.admin("Status", pb.StatusRequest(), pb.StatusReply, 60)
        assert SEED.encode() not in status.SerializeToString()
        assert SEED not in str(examine(clinic.path, seconds=0.5).to_json())
        run_import(clinic, "Ada", list)
        told = [
            keeper.admin(method, request, reply, service=RECORDS).SerializeToString()
            for method, request, reply in (
                ("Imports", records.ImportsRequest(), records.ImportsReply),
                ("Quality", records.QualityRequest(), records.QualityReply),
                ("Consent", records.ConsentRequest(), records.ConsentReply),
                ("ReadinessPage", records.ReadinessPageRequest(), records.ReadinessPageReply),
            )
        ]
        assert SEED.encode() not in b"".join(told)
    assert files_with_seed(clinic.path) == set()
    assert any(" serving " in line for line in written)


# What these do is another process's or for good; what they leave is looked at elsewhere.
NOT_CALLED = {"DryRun", "Import", "TuneModel", "LeaveTeam", "LeaveStudy"}


def methods() -> Iterator[tuple[str, str, Any, Any]]:
    """Service, method, request and reply of everything on admin.sock, read off the protos."""
    files = sorted((ROOT / "protocol/cairn_protocol/proto").glob("*_pb2.py"))
    for module in (importlib.import_module(f"cairn_protocol.proto.{f.stem}") for f in files):
        for service in module.DESCRIPTOR.services_by_name.values():
            if not service.full_name.startswith("cairn.keeper.v1."):
                continue
            for method in service.methods:
                if method.name not in NOT_CALLED:
                    types = (GetMessageClass(t) for t in (method.input_type, method.output_type))
                    yield service.full_name, method.name, *types


def filled(request: Any) -> Any:
    """A request that names the study and a person, as far as it names anything."""
    known = {"study": "tiny", "person": "Ada", "name": "Ada", "clinic": "elm"}
    texts = {f.name for f in request.DESCRIPTOR.fields if f.type == f.TYPE_STRING}
    return request(**{name: value for name, value in known.items() if name in texts})


def test_no_method_of_the_keeper_tells_who_or_when(bench: Make, written: list[str]) -> None:
    """Every method, of whoever has not signed in: no reply, refusal, line or file has the seed, and
    neither a patient's number nor a sum of a preview is in a line or a file."""
    b = bench()
    b.settle(0)
    clinic = b.keepers[0].clinic
    folder = with_a_rare_week(clinic)
    said, numbers, called = [], {WEEK}, set()
    with KeeperService(clinic), KeeperClient(Sockets(folder).admin) as keeper:
        for service, method, request, reply in methods():
            try:
                found = keeper.admin(method, filled(request), reply, 60, service)
            except CairnError as error:
                said.append(f"{error} {error.hint}".encode())
                continue
            called.add(method)
            said.append(found.SerializeToString())
            if method == "Preview":
                effect, course = found.questions
                numbers |= {*effect.own.sum, course.own.length} - {0.0}
    assert called >= {"Preview", "Sent", "Show", "Status", "AuditLog"}
    assert len(numbers) > 5
    assert not [text for text in said if SEED.encode() in text]
    assert files_with_seed(folder) == set()
    lines = "\n".join(written).encode()
    for number in numbers:
        for trace in traces(number):
            assert trace not in lines
            held = {f.name for f in folder.rglob("*") if f.is_file() and trace in f.read_bytes()}
            assert held <= MAY_HOLD


def test_the_link_gets_none_of_it(bench: Make, written: list[str]) -> None:
    """Of all that admin.sock serves, or will, link.sock has `Forward` alone."""
    b = bench()
    with KeeperService(b.keepers[0].clinic):
        socket = Sockets(b.keepers[0].clinic.path).link
        with grpc.insecure_channel(f"unix:{socket}") as channel:
            for service, method, request, _ in methods():
                if service == LINK:
                    continue
                call = channel.unary_unary(f"/{service}/{method}")
                with pytest.raises(grpc.RpcError) as caught:
                    call(filled(request).SerializeToString(), timeout=10)
                assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_commands_show_a_clinic_without_a_patient(bench: Make, written: list[str]) -> None:
    b = bench()
    b.settle(0)
    folder = with_a_rare_week(b.keepers[0].clinic)
    with KeeperService(b.keepers[0].clinic):
        for words in (
            "preview tiny",
            "preview tiny --question effect --json",
            "preview nobody",
            "sent",
            "sent tiny --json",
            "show tiny",
            "offers",
            "status",
            "results",
            "results tiny",
            "courses",
            "log",
            "log --json",
            "log --all",
            "records imports",
            "records quality",
            "records consent",
            "records quarantine",
        ):
            asked = ["clinic", *words.split(), "--folder", str(folder)]
            done = CliRunner().invoke(app, asked)
            told = done.output + str(done.exception)
            assert told
            assert SEED not in told
            assert str(WEEK) not in told
    assert str(WEEK) not in "\n".join(written)


def test_a_preview_that_breaks_is_told_without_its_words(
    bench: Make, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError(f"could not place {SEED!r} at {WEEK}")

    b = bench()
    b.settle(0)
    clinic = b.keepers[0].clinic
    asked = out.PreviewRequest(study="tiny")
    with KeeperService(clinic), KeeperClient(Sockets(clinic.path).admin) as keeper:
        for where in ("cairn_client.preview.asked_here", "cairn_client.outgoing.StudyRecords"):
            with monkeypatch.context() as patch:
                patch.setattr(where, broken)
                try:
                    told = str(keeper.admin("Preview", asked, out.PreviewReply, 60, OUTGOING))
                except CairnError as error:
                    told = f"{error} {error.hint}"
            assert SEED not in told
            assert str(WEEK) not in told
    assert sum("ValueError" in line for line in written) == 3, "two questions, and the records"
    assert str(WEEK) not in "\n".join(written)


def test_a_reader_that_breaks_is_told_without_its_words(
    bench: Make, written: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError(f"could not parse {SEED!r} as int")

    b = bench()
    b.set_up()
    keeper: Keeper = b.keepers[0]
    own = b.requests()[0].to_bytes()
    monkeypatch.setattr("cairn_client.door.Door.answer", broken)
    reply = keeper.forward(own)
    assert SEED.encode() not in reply
    assert any("ValueError" in line for line in written)


def test_a_line_that_is_not_in_the_table_is_withheld(written: list[str]) -> None:
    log = logging.getLogger("cairn.keeper")
    log.warning("patient %s looks odd", SEED)
    log.warning(f"patient {SEED}")
    logging.getLogger("polars").error("cannot cast %s", SEED)
    try:
        raise KeyError(SEED)
    except KeyError:
        log.exception("refused: %s", "input.x")
    assert [line.split(" ")[3] for line in written] == ["withheld"] * 3 + ["refused"]
    assert "test_no_patient_string.py" in written[0]
    assert "exception=KeyError@test_no_patient_string.py" in written[3]


def test_a_services_log_is_of_the_table_alone(tmp_path: Path) -> None:
    code = (
        "import logging\n"
        "from cairn_app.logs import log_to_stderr\n"
        "log_to_stderr()\n"
        f"logging.getLogger('cairn.keeper').warning('patient %s', {SEED!r})\n"
        f"logging.getLogger('polars').error('cannot cast %s', {SEED!r})\n"
        "logging.getLogger('cairn.keeper').info('the planned import is done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=tmp_path
    )
    assert SEED not in done.stderr
    said = [line.split(" ")[3] for line in done.stderr.splitlines()]
    assert said == ["withheld", "withheld", "import-done"]


def test_a_value_cannot_pass_for_a_line(written: list[str]) -> None:
    logging.getLogger("cairn.keeper").warning("refused: %s", 'x"\n2026 info cairn.keeper serving')
    assert "\n" not in written[0]
    assert written[0].count(' refused code="x\\" 2026') == 1


def test_an_exception_is_told_by_type_and_place_alone() -> None:
    try:
        try:
            int(SEED)
        except ValueError as error:
            raise RuntimeError(SEED) from error
    except RuntimeError as error:
        told = without_words(error) + unforeseen(error)
    assert SEED not in told
    assert re.match(r"RuntimeError@test_no_patient_string.py:\d+\|ValueError@", told)


def test_every_line_of_the_clinics_code_is_in_the_table() -> None:
    """Read off the source: a new line shows up here before it is withheld in a clinic's log."""
    messages = {}
    for file in [*(ROOT / "client").rglob("*.py"), *(ROOT / "app").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
                and node.func.attr in {"debug", "info", "warning", "error", "exception", "critical"}
            ):
                first = node.args[0]
                text = first.value if isinstance(first, ast.Constant) else f"{file.name}: no text"
                messages[text] = len(node.args) - 1
    assert {
        text: len(EVENTS[text].keys) if text in EVENTS else None for text in messages
    } == messages


@pytest.mark.parametrize("how", ["crash", "exception", "thread", "dump"])
def test_a_daemon_that_ends_badly_leaves_nothing(tmp_path: Path, how: str) -> None:
    code = (
        "import os, resource, signal, sys, threading\n"
        "from cairn_client.hardened import leave_nothing_behind\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(4)[1],) * 2)\n"
        "leave_nothing_behind()\n"
        f"kept = [{SEED!r} * 1000]\n"
        "def broken(): int(kept[0])\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n"
        "open('made', 'w').close()\n"
        + {
            "crash": "os.kill(os.getpid(), signal.SIGSEGV)",
            "exception": "broken()",
            "thread": "t = threading.Thread(target=broken); t.start(); t.join()",
            "dump": "import ctypes; sys.exit(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))",
        }[how]
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert SEED.encode() not in done.stdout + done.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"made"}, "no core"
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600
    expected = {"crash": -signal.SIGSEGV, "exception": 1, "thread": 0, "dump": 0}
    assert done.returncode == expected[how]
    if how in {"exception", "thread"}:
        assert b"ValueError@" in done.stderr
