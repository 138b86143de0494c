"""What came back, as a clinic's people type for it, over a keeper that really serves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

import returned_bench
from cairn_app.cli import app
from cairn_client.keeper_client import KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.returned.words import CAPTION
from cairn_client.sockets import Sockets
from cairn_models.export.bundle import contents
from cairn_models.export.model import Model
from cairn_protocol.errors import CairnError
from cairn_protocol.messages import Received, decode
from cairn_protocol.proto import results_pb2 as pb
from export_models import all_usable, model

RESULTS = "cairn.keeper.v1.Results"


class Typed:
    """A clinic's folder in which commands are typed; `who` signs in where it is given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password = folder / "password"
        self.password.touch(0o600)
        self.password.write_text("quite a long phrase 7")
        self.who = ("--person", "ada", "--password-file", str(self.password))

    def __call__(self, *words: str) -> Result:
        typed = ["clinic", *words, "--folder", str(self.folder)]
        return CliRunner().invoke(app, typed)

    def refused(self, *words: str) -> str:
        error = self(*words).exception
        assert isinstance(error, CairnError)
        return error.code


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Typed]:
    patch = pytest.MonkeyPatch()
    patch.setattr(returned_bench, "TODAY", date.today())
    bench = returned_bench.ReturnedBench(tmp_path_factory.mktemp("typed") / "ash")
    bench.store.verify_member("elm", bench.roster.roster.entries[1].identity, "Ada")
    released = model(heads=all_usable())
    card = replace(released.card, digest=bench.study.digest.hex())
    files = contents(Model(released.parameters, card), onnx=False)
    findings = bench.findings({f"course/{name}": data for name, data in files.items()})
    bench.close()
    with KeeperService(bench.clinic):
        one = Typed(bench.clinic.path)
        assert "Nothing has come back yet" in one("results").output
        with KeeperClient(Sockets(bench.clinic.path).link) as link:
            assert isinstance(decode(link.forward(findings.to_bytes())), Received)
            with pytest.raises(CairnError):
                link.admin("Results", pb.ResultsRequest(), pb.ResultsReply, service=RESULTS)
        yield one
    patch.undo()


def test_what_came_back_is_listed_and_compared(typed: Typed, tmp_path: Path) -> None:
    listed = typed("results")
    assert "waits" in listed.output
    assert "expected courses: off: this clinic's policy.toml" in listed.output
    out = tmp_path / "compared"
    shown = typed("results", "waits", "--out", str(out))
    assert CAPTION in shown.output
    assert re.search(r"dmhi guided against waiting +−2\.00 \(−3\.10 to −0\.90\) +−", shown.output)
    assert sorted(path.name for path in out.iterdir()) == ["compare.html", "results.json"]
    assert (out / "results.json").stat().st_mode & 0o777 == 0o600
    assert typed.refused("results", "waits", "--out", str(out)) == "input.file-exists"
    assert typed.refused("results", "other") == "policy.nothing-returned"
    told = json.loads(typed("results", "waits", "--json").output)
    assert told["answers"][0]["estimates"][0]["pooled"]["value"] == -2.0
    assert "page" not in told


def test_courses_are_shown_once_every_lock_is_open(typed: Typed, tmp_path: Path) -> None:
    assert typed.refused("courses") == "policy.courses-off"
    (typed.folder / "policy.toml").write_text(returned_bench.POLICY)
    assert typed.refused("courses") == "policy.session-needed"
    added = typed("reviewer", "add", "ada", "--new-password-file", str(typed.password))
    assert added.exit_code == 0, added.output
    assert typed.refused("results", "waits", "--person", "ada") == "input.password-terminal"

    lists = typed("courses", *typed.who)
    assert lists.output.startswith(CAPTION)
    assert lists.output.index("k-mona") < lists.output.index("k-liv") < lists.output.index("k-zara")
    assert lists.output.count("Follow your clinic's procedure") == 1
    assert "item 9: 3 on" in lists.output
    assert "item 9: 0" not in lists.output

    out = tmp_path / "drawn"
    course = typed("courses", "k-zara", *typed.who, "--out", str(out))
    assert "week 8     PHQ-9 26" in course.output
    assert "95 %" in course.output
    assert [path.name for path in out.iterdir()] == ["01.svg"]
    name = re.search(r"^([0-9a-f]{16})  k-zara", course.output, re.MULTILINE)
    assert name
    looked = typed("courses", "--acknowledge", name[1], *typed.who)
    assert re.search(r"ada looked at it on \d{4}-\d\d-\d\d", looked.output)
    told = json.loads(typed("courses", *typed.who, "--json").output)
    assert [flag.get("reviewer", "") for flag in told["flags"]["flags"]] == ["ada", ""]
    assert set(told) == {"current", "not seen", "worse", "flags"}
    assert typed.refused("courses", *typed.who, "--out", str(out)) == "input.patient-missing"


def test_the_audit_log_has_who_looked_and_no_patient(typed: Typed) -> None:
    log = typed("log", "--all").output
    assert "ada opened a patient's course" in " ".join(log.split())
    assert "k-zara" not in log
    assert b"k-zara" not in (typed.folder / ".cairn" / "audit.sqlite").read_bytes()


def test_a_model_that_came_back_is_tuned_by_its_studys_name(typed: Typed) -> None:
    assert typed.refused("model", "tune", "waits", *typed.who) == "input.too-few-to-tune"
    assert typed.refused("model", "tune", "waits") == "input.decision"
