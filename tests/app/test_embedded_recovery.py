"""The embedded engine when clinics drop out: the run goes on, and the results say without whom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.app import Message, RecordDict

from cairn_app.embedded import EmbeddedGrid
from cairn_app.embedded_study import EmbeddedStudy
from cairn_client.clinic_folder import ClinicFolder, clinic_folders
from cairn_client.keeper import Keeper
from cairn_client.link import client_app
from cairn_models.answers import Answer, Table
from cairn_protocol.errors import InputError, StudyStopped
from cairn_protocol.messages import Certificate, OpenRun, RoundRequest, Survivors, decode
from cairn_protocol.study import Study
from cairn_server.coordinator import GridExchange
from cairn_server.events import Event
from cairn_server.report import load_results, write_results
from small_study import STUDY

POLICY = """[policy]
clinics = 5
survivors = 4
threshold = 4
colluding = 1
dropout = "recovered"
"""
TEXT = STUDY[: STUDY.index("[policy]")] + POLICY + STUDY[STUDY.index("[[questions]]") :]
TWICE = TEXT + STUDY[STUDY.index("[[questions]]") :].replace('name = "effect"', 'name = "again"')
PUBLIC = TWICE.replace("[policy]", '[privacy]\ndata = "public"\n[policy]').replace(
    "epsilon = 1.0\n", ""
)
Drop = Callable[[str, type], bool]


@pytest.fixture
def five(federation: Callable[..., Path]) -> list[ClinicFolder]:
    return clinic_folders(federation(sizes=(20, 25, 30, 35, 40)))


def dropping(monkeypatch: pytest.MonkeyPatch, clinic: str, kind: type, times: int = 1) -> None:
    """The clinic's process crashes on its next messages of a kind."""
    forward, left = Keeper.forward, [times]

    def crash(keeper: Keeper, request: bytes) -> bytes:
        here = keeper.clinic.config.name == clinic and isinstance(decode(request), kind)
        if here and left[0]:
            left[0] -= 1
            raise RuntimeError
        return forward(keeper, request)

    monkeypatch.setattr(Keeper, "forward", crash)


@pytest.mark.parametrize(
    ("kind", "effect", "again"),
    [(OpenRun, 4, 5), (RoundRequest, 4, 5), (Survivors, 5, 5)],
)
def test_a_clinic_may_drop_out_at_every_phase(
    five: list[ClinicFolder],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: type,
    effect: int,
    again: int,
) -> None:
    dropping(monkeypatch, "elm", kind)
    results = EmbeddedStudy(Study.parse(TWICE.encode()), five).run()
    assert results.stopped == ""
    sums = {s.name: s for s in results.sums}
    assert (sums["effect"].last, sums["again"].last) == (effect, again)
    paths = write_results(results, tmp_path / "out")
    page = paths.report.read_text()
    assert ("Over 4 of 5 clinics. Missing: elm." in page) == (effect == 4)
    assert load_results(paths.results).sums == results.sums
    for clinic in five:
        with clinic.ledger() as ledger:
            charged = {e.question for e in ledger.entries()}
        missing = {s.name for s in results.sums for a in s.absent if a.clinic == clinic.config.name}
        assert {"effect", "again"} - missing <= charged


def test_a_drop_while_another_loss_is_made_good_is_a_new_attempt(
    five: list[ClinicFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    dropping(monkeypatch, "elm", RoundRequest)
    dropping(monkeypatch, "oak", Certificate)
    text = TWICE.replace("[policy]", "[privacy]\nretries = 1\n[policy]")
    heard: list[Event] = []
    results = EmbeddedStudy(Study.parse(text.encode()), five, watch=heard.append).run()
    assert [q.rounds for q in results.spend.questions] == [2, 1], "both attempts are accounted"
    assert [s.last for s in results.sums] == [5, 5]
    assert any("oak" in event.text for event in heard if event.stage == "trouble")


def test_too_few_clinics_stop_the_study(
    five: list[ClinicFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    dropping(monkeypatch, "elm", RoundRequest)
    dropping(monkeypatch, "oak", RoundRequest)
    with pytest.raises(StudyStopped, match="elm, oak"):
        EmbeddedStudy(Study.parse(TEXT.encode()), five).run()


def test_the_answers_are_those_of_the_remaining_clinics_alone(
    five: list[ClinicFolder],
    federation: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the last bit, against a study that never had the fifth clinic."""
    for clinic in five:
        config = clinic.path / "clinic.toml"
        config.write_text(config.read_text().replace('"synthetic"', '"public"'))
    public = clinic_folders(five[0].path.parent)
    dropping(monkeypatch, "elm", RoundRequest, times=2)
    with_loss = EmbeddedStudy(Study.parse(PUBLIC.encode()), public).run()
    assert [s.last for s in with_loss.sums] == [4, 4]
    alone = PUBLIC.replace(POLICY, POLICY.replace("clinics = 5", "clinics = 4"))
    four = [clinic for clinic in public if clinic.config.name != "elm"]
    assert len(four) == 4
    without = EmbeddedStudy(Study.parse(alone.encode()), four).run()
    assert [a.to_json() for a in with_loss.answers] == [a.to_json() for a in without.answers]


def test_a_public_study_that_recovers_needs_as_many_clinics_as_its_policy_says(
    five: list[ClinicFolder],
) -> None:
    with pytest.raises(InputError) as caught:
        EmbeddedStudy(Study.parse(PUBLIC.encode()), five[:4])
    assert caught.value.code == "input.clinic-count"


def test_the_comparison_with_the_truth_pools_the_clinics_that_are_in_the_sum(
    five: list[ClinicFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    dropping(monkeypatch, "elm", RoundRequest)
    seen: dict[str, frozenset[str]] = {}

    def oracle(answers: object, members: dict[str, frozenset[str]]) -> Answer:
        seen.update(members)
        return Answer("oracle", "oracle", "", (), tables=(Table("", ("a",), ()),))

    study = EmbeddedStudy(Study.parse(TWICE.encode()), five)
    study.run(oracle)  # type: ignore[arg-type]
    everyone = {clinic.config.name for clinic in five}
    assert seen == {"effect": everyone - {"elm"}, "again": everyone}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_message_that_was_taken_back_is_not_worked_on(workers: int) -> None:
    gate, worked = threading.Event(), []

    def slow(body: bytes) -> bytes:
        worked.append(body)
        gate.wait(10)
        return body

    with EmbeddedGrid({2: client_app(slow)}, workers=workers) as grid:
        exchange = GridExchange(grid)
        assert exchange("query.round", {2: b"first"}, 0.1) == {}
        assert exchange("query.round", {2: b"second"}, 0.1) == {}, "one at a time"
        gate.set()
        assert exchange("query.round", {2: b"third"}, 10) == {2: b"third"}
    assert worked == [b"first", b"third"]


def test_an_exchange_ends_when_it_is_told_to() -> None:
    gate = threading.Event()
    slow = client_app(lambda body: body if gate.wait(10) else b"")
    with EmbeddedGrid({2: slow, 3: client_app(bytes.upper)}, workers=2) as grid:
        came: list[set[int]] = []

        def until(replies: dict[int, bytes]) -> float:
            came.append(set(replies))
            return 0.0 if 3 in replies else float("inf")

        assert GridExchange(grid)("query.round", {2: b"x", 3: b"x"}, 10, until) == {3: b"X"}
        gate.set()
        message = Message(RecordDict(), 3, "query.round")
        assert list(grid.send_and_receive([message], timeout=10))
    assert came[-1] == {3}
