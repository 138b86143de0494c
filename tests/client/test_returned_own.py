"""The clinic's own figures beside the pooled ones: what they are, and what a page of them shows."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cairn_client.returned.findings_store import FindingsStore
from cairn_client.returned.locks import Locks
from cairn_client.returned.results_admin import ResultsAdmin
from cairn_client.returned.shelf import Shelf
from cairn_client.returned.svg import Axis, number
from cairn_client.returned.words import CAPTION
from cairn_client.turn import Turn
from cairn_models.answers import Bars, Estimate
from cairn_models.export.bundle import contents
from cairn_models.export.model import Model
from cairn_models.percentages import in_per_cent
from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.proto import results_pb2 as pb
from export_models import all_usable, model
from returned_bench import EVERYBODY, TODAY, ReturnedBench, pooled_effect, results_json

SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Own:
    """A clinic to which two answers and a model came back; `signed_in` is who asks."""

    bench: ReturnedBench
    admin: ResultsAdmin
    shelf: Shelf
    sessions: list[str]

    def beside(self) -> pb.OwnBesideReply:
        return self.admin.own_beside(pb.OwnBesideRequest())


def exact(bench: ReturnedBench, question: int):  # type: ignore[no-untyped-def]
    """What the question's own code makes of this clinic's sum without noise."""
    spec = bench.study.questions[question]
    asked = build(spec, bench.study)
    records = bench.clinic.read(day=TODAY).records
    rows = asked.contributions(asked.prepare(records), asked.start({}))
    total = np.sum([block.sum(axis=0) for block in rows], axis=0)
    return asked.estimate(asked.start({}), total, SumNoise(0.0))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    bench = ReturnedBench(tmp_path_factory.mktemp("own") / "ash")
    stay = exact(bench, 1)
    shares = (Estimate("yes", "yes", 0.4, 0.3, 0.5, unit="share"),)
    bars = Bars("Shares", "", "share", ("yes",), {"all": shares})
    answers = (pooled_effect(bench.study), replace(stay, figures=(*stay.figures, bars)))
    released = model(heads=all_usable())
    card = replace(released.card, digest=bench.study.digest.hex())
    files = contents(Model(released.parameters, card), onnx=False)
    results = results_json(bench.study, answers)
    bench.keep(bench.findings({f"course/{n}": d for n, d in files.items()}, results=results))
    shelf, sessions = Shelf(bench.store, bench.kept), list[str]()
    locks = Locks(lambda: False, lambda session: session)
    admin = ResultsAdmin(bench.clinic, shelf, locks, sessions.append, Turn(), today=lambda: TODAY)
    yield Own(bench, admin, shelf, sessions)
    bench.close()


def test_pooled_answers_are_shown_as_they_were_released(own: Own) -> None:
    reply = own.admin.results(pb.ResultsRequest(study="waits"))
    (study,) = reply.studies
    assert (study.name, study.version, list(study.models)) == ("waits", 1, ["course"])
    assert study.courses == "this clinic's policy.toml does not say courses = true"
    assert reply.caption.startswith(CAPTION)
    assert reply.answers[0].sentences == ["People in dmhi_guided fell 2.0 points further."]
    assert reply.answers[0].notes == ["Unadjusted for confounding."]
    assert reply.results.startswith(b'{"schema"')


def test_own_figures_are_the_questions_own_without_noise(own: Own) -> None:
    reply = own.beside()
    assert reply.patients == len(EVERYBODY)
    effect, stay = reply.answers
    (contrast,) = effect.estimates
    assert contrast.pooled.value == -2.0
    want = {e.name: e for e in exact(own.bench, 0).estimates}["dmhi_guided-waiting"]
    assert contrast.own.value == pytest.approx(want.value, abs=1e-3)  # the door's grid
    assert contrast.own.low == pytest.approx(want.low, abs=1e-3)
    kept = {e.name: e for e in stay.estimates}
    for told in in_per_cent(exact(own.bench, 1)).estimates:
        assert kept[told.name].own.suppressed == told.suppressed
        if told.value is not None:
            assert kept[told.name].own.value == pytest.approx(told.value, abs=0.05)


def test_own_figures_hold_back_what_the_study_holds_back(own: Own) -> None:
    few = [e for a in own.beside().answers for e in a.estimates if not e.own.HasField("value")]
    assert few
    assert all(e.own.suppressed and not e.own.HasField("low") for e in few)


def test_own_figures_need_the_person_whom_accounts_ask_for(own: Own) -> None:
    def refuse(session: str) -> None:
        raise PolicyRefusal("no", code="session-needed")

    shut = ResultsAdmin(
        own.bench.clinic, own.shelf, own.admin._locks, refuse, Turn(), today=lambda: TODAY
    )
    for ask in (
        lambda: shut.own_beside(pb.OwnBesideRequest()),
        lambda: shut.tune_model(pb.TuneModelRequest()),
    ):
        with pytest.raises(PolicyRefusal, match="no"):
            ask()
    own.sessions.clear()
    own.admin.own_beside(pb.OwnBesideRequest(session="token"))
    assert own.sessions == ["token"]


def test_nothing_is_charged_or_written_for_them(own: Own) -> None:
    before = sorted(path for path in own.bench.clinic.path.rglob("*"))
    own.beside()
    assert sorted(path for path in own.bench.clinic.path.rglob("*")) == before
    assert not own.bench.clinic.has_ledger


def test_an_answer_of_many_rounds_or_of_a_model_has_no_own_figure(own: Own) -> None:
    from cairn_client.returned.own import _without

    trained, effect = (build(own.bench.study.questions[i], own.bench.study) for i in (2, 0))
    assert "trained a model" in _without(trained)
    assert not _without(effect)
    many = replace(effect.shape, rounds=5)
    stand_in = SimpleNamespace(kind="regression", builds_on=(), shape=many)
    assert "5 rounds" in _without(stand_in)  # type: ignore[arg-type]
    judge = SimpleNamespace(kind="error", builds_on=("course",), shape=many)
    assert "judges a model" in _without(judge)  # type: ignore[arg-type]


def drawings(own: Own) -> list[pb.Drawing]:
    return [drawing for answer in own.beside().answers for drawing in answer.drawings]


def test_drawings_can_be_read_without_eyes_and_hold_nothing_that_runs(own: Own) -> None:
    found = drawings(own)
    assert len(found) >= 3
    names = set()
    for drawing in found:
        root = ElementTree.fromstring(drawing.svg)
        title, about = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
        assert title is not None
        assert about is not None
        assert title.text == drawing.table.title
        assert about.text
        assert root.get("aria-labelledby") == f"{title.get('id')} {about.get('id')}"
        names.add(title.get("id"))
        assert root.get("role") == "img"
        assert drawing.table.rows
        for part in root.iter():
            assert part.tag.removeprefix(SVG) in {
                *("svg", "title", "desc", "rect", "line", "path", "circle", "polygon", "text"),
            }
            assert not {"style", "class", "href"} & set(part.attrib)
            assert not [name for name in part.attrib if name.startswith("on")]
    assert len(names) == len(found), "identifiers are told apart on one page"


def test_marks_lie_within_the_drawing(own: Own) -> None:
    for drawing in drawings(own):
        root = ElementTree.fromstring(drawing.svg)
        width, height = (float(root.get(side) or 0) for side in ("width", "height"))
        for circle in root.iter(f"{SVG}circle"):
            assert 0 <= float(circle.get("cx") or -1) <= width
            assert 0 <= float(circle.get("cy") or -1) <= height
        for text in root.iter(f"{SVG}text"):
            assert 0 <= float(text.get("y") or -1) <= height


def test_the_page_stands_alone_says_what_it_is_and_shows_no_other_clinic(own: Own) -> None:
    page = own.beside().page
    assert CAPTION.split(".")[0] in page
    assert "Synthetic data" in page
    assert "no ranking" in page
    assert "default-src 'none'" in page
    assert not re.search(r"<script|https?://(?!www\.w3\.org/2000/svg)|\bon\w+=", page)
    for other in ("elm", "oak"):
        assert not re.search(rf"\b{other}\b", page)
    assert not [person.name for person in EVERYBODY if person.name in page]
    assert page.count("<svg") == len(drawings(own))


def test_words_from_outside_are_escaped(own: Own) -> None:
    study = own.bench.study
    evil = replace(pooled_effect(study), title="<script>alert(1)</script>", notes=("<b>",))
    own.bench.keep(own.bench.findings(results=results_json(study, (evil,))))
    page = own.beside().page
    assert "<script" not in page
    assert "<b>" not in page


def test_a_tuned_model_is_kept_sealed_and_used_until_others_come(
    own: Own, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = own.bench
    released = model(heads=all_usable())
    card = replace(released.card, digest=bench.study.digest.hex())
    files = contents(Model(released.parameters, card), onnx=False)
    bench.keep(bench.findings({f"course/{n}": d for n, d in files.items()}))
    better = Model(released.parameters + np.float32(0.25), card)

    def tuned(helped: bool):  # type: ignore[no-untyped-def]
        error = SimpleNamespace(overall=3.0, patients=("a",) * 12)
        found = SimpleNamespace(
            helped=helped, trained=40, before=error, after=error, gain=(0.2, 0.1, 0.3)
        )
        return lambda model, records: (found, better if helped else model)

    monkeypatch.setattr("cairn_models.export.own.tune_here", tuned(helped=False))
    reply = own.admin.tune_model(pb.TuneModelRequest(study="waits"))
    assert (reply.helped, reply.trained, reply.judged) == (False, 40, 12)
    returned = own.shelf.one("waits")
    assert not own.shelf.model(returned).tuned

    monkeypatch.setattr("cairn_models.export.own.tune_here", tuned(helped=True))
    assert own.admin.tune_model(pb.TuneModelRequest(study="waits")).gain == pytest.approx(0.2)
    here = own.shelf.model(returned)
    assert here.tuned
    assert np.array_equal(here.model.parameters, better.parameters)
    assert np.array_equal(
        own.shelf.model(returned, released=True).model.parameters, released.parameters
    )
    (path,) = (bench.clinic.state / "returned").rglob("tuned-*.sealed")
    assert better.parameters.tobytes()[:64] not in path.read_bytes()
    assert FindingsStore(bench.clinic.state, bench.clinic.identity()).tuned(
        bench.study.digest, "course"
    )

    results = results_json(bench.study, (), stopped="later")
    bench.keep(bench.findings({f"course/{n}": d for n, d in files.items()}, results=results))
    assert not own.shelf.model(own.shelf.one("waits")).tuned, "it was of other findings"


def test_a_model_is_tuned_only_in_an_approved_study(own: Own) -> None:
    own.bench.decide("paused")
    with pytest.raises(PolicyRefusal) as error:
        own.admin.tune_model(pb.TuneModelRequest(study="waits"))
    assert error.value.code == "policy.study-not-approved"
    own.bench.decide("approved")


def test_where_nothing_came_back_that_is_said(tmp_path: Path) -> None:
    bench = ReturnedBench(tmp_path / "ash")
    shelf = Shelf(bench.store, bench.kept)
    locks = Locks(lambda: True, str)
    admin = ResultsAdmin(bench.clinic, shelf, locks, str, Turn())
    assert not admin.results(pb.ResultsRequest()).studies
    for request in (pb.ResultsRequest(study="waits"), pb.ResultsRequest(study="other")):
        with pytest.raises(PolicyRefusal, match="nothing has come back"):
            admin.results(request)
    bench.close()


def test_an_axis_has_round_ticks_between_its_ends() -> None:
    assert [*Axis(0.0, 27.0, 0.0, 1.0).ticks()] == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    assert [*Axis(-0.3, 0.31, 0.0, 1.0).ticks()] == [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]
    assert [*Axis(2.0, 2.0, 0.0, 1.0).ticks()] == []
    assert Axis(0.0, 10.0, 100.0, 0.0).at(99.0) == 0.0
    assert [number(v) for v in (None, float("nan"), -1.234, 12.34)] == ["–", "–", "−1.23", "12.3"]
