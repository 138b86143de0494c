"""What a clinic is shown before it decides: the door's own sum, and nothing that goes further."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import polars as pl
import pytest

from cairn_client.askable import Askable, askable
from cairn_client.audit_log.log import FILE as AUDIT_LOG
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.door import Asked, Door
from cairn_client.entry_pins import EntryPins, UnchangedPins
from cairn_client.importing import import_records
from cairn_client.keeper_client import LINK, OUTGOING, KeeperClient
from cairn_client.keeper_service import KeeperService
from cairn_client.keeper_store import KeeperStore
from cairn_client.preview import own_contribution
from cairn_client.sockets import Sockets
from cairn_client.study_records import StudyRecords
from cairn_client.upload_size import upload_bytes
from cairn_models.records import Records
from cairn_models.synthetic import World, generate
from cairn_protocol.errors import InputError, OurFault, PolicyRefusal
from cairn_protocol.fixed_point import decode
from cairn_protocol.identity import Identity
from cairn_protocol.proto import keeper_pb2, reviewers_pb2
from cairn_protocol.proto import outgoing_pb2 as pb
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from every_kind import PATIENTS, PUBLIC
from keeper_bench import RECOVERED, STUDY, Bench, write_clinic

Make = Callable[..., Bench]
METHODS = sorted(pb.DESCRIPTOR.services_by_name["Outgoing"].methods_by_name)
EVERY = {
    name: a
    for text in (PATIENTS, PUBLIC)
    for name, a in askable(Study.parse(text.encode()), 3).items()
    if not a.question.builds_on
}


@pytest.fixture(scope="module")
def people() -> Records:
    (found,) = generate(World(), [30], seed=3)
    sex = [("female", "male")[k % 2] for k in range(len(found))]
    more = [pl.Series("sex", sex), pl.Series("deprivation", [0.5] * len(found))]
    kept = found.patients.drop(["sex", "deprivation"], strict=False).with_columns(more)
    return Records(kept, found.scores, found.engagement, found.wearables, found.time_unit)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_it_is_the_sum_that_the_door_would_noise(
    name: str, people: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = EVERY[name]
    own = own_contribution(asked, people, None)
    monkeypatch.setattr("cairn_client.door.add_noise", lambda total, plan: total)
    ledger: Any = SimpleNamespace(reserve=lambda **_: 1)
    question, terms = asked.question, asked.terms
    leaving = Door(lambda: people, ledger).answer(
        Asked(bytes(16), question, terms, 0, 0, question.start({}), 1.0)
    )
    there = decode(leaving.vector, terms.scale.modulus_bits) * terms.scale.step
    assert own.total.any(), "some of these people say something"
    assert (own.total == there).all()
    assert own.admitted == 30
    assert 0 < own.contributing <= 30


def test_an_example_is_noised_as_a_round_and_is_never_the_same(people: Records) -> None:
    asked = EVERY["describe"]
    examples = [own_contribution(asked, people, None) for _ in range(2)]
    assert not (examples[0].example == examples[1].example).any()
    assert asked.terms.noise is not None
    sd = asked.terms.noise.clinic_sigma_steps * asked.terms.scale.step
    noise = np.concatenate([own.example - own.total for own in examples])
    assert noise.std() == pytest.approx(sd, rel=0.12)


def rows(*given: list[float]) -> Askable:
    """A question whose patients say exactly this, in their first two numbers."""
    asked = askable(Study.parse(STUDY.encode()), 3)["effect"]
    block = np.zeros((len(given), asked.question.shape.length))
    block[:, :2] = given
    asked.question.contributions = lambda prepared, public: iter([block])  # type: ignore[method-assign]
    return asked


def test_it_counts_who_adds_something_and_whom_the_bound_cuts() -> None:
    c = EVERY["effect"].question.shape.bound
    assert c is not None
    at_it = [c * (1 + 1e-12), 0.0]
    asked = rows([0, 0], [0.1, 0], at_it, [2 * c, 0], [np.nan, 0], [np.inf, 1], [1e200, 1e200])
    own = own_contribution(asked, Records(), None)
    assert (own.contributing, own.clipped) == (6, 4)
    assert np.isfinite(own.total).all()


def test_a_failure_is_told_by_its_type_alone(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: object) -> None:
        raise ValueError("Zwyrtek, 17 points")

    asked = rows([0, 0])
    asked.question.prepare = broken  # type: ignore[method-assign]
    with pytest.raises(OurFault) as caught:
        own_contribution(asked, Records(), None)
    assert "Zwyrtek" not in f"{caught.value} {caught.value.hint} {caplog.text}"
    assert "ValueError" in caught.value.why


def test_pins_are_looked_at_and_never_made(tmp_path: Path) -> None:
    looked = UnchangedPins(tmp_path / "pins")
    assert looked.hold({"a": 2023}) == {"a": 2023}
    assert not (tmp_path / "pins").exists()
    EntryPins.make(tmp_path / "pins")
    EntryPins(tmp_path / "pins").hold({"a": 2020})
    before = (tmp_path / "pins").read_bytes()
    assert looked.hold({"a": 2023, "b": 2024}) == {"a": 2020, "b": 2024}
    assert (tmp_path / "pins").read_bytes() == before
    (tmp_path / "pins").write_bytes(b"SQLite format 3\0 and nothing else")
    with pytest.raises(InputError, match="entry-pins"):
        looked.hold({"a": 1})


class Here:
    """A clinic whose keeper serves, with a study offered."""

    def __init__(self, folder: Path, text: str = STUDY) -> None:
        self.clinic = ClinicFolder.open(folder)
        team = Identity.generate()
        self.signed = SignedStudy.sign(Study.parse(text.encode()), team)
        own = {self.clinic.config.name: self.clinic.identity().public}
        fill = {f"c{k}": Identity.generate().public for k in range(self.study.policy.clinics - 1)}
        self.roster = SignedRoster.sign(Roster.first(self.signed, own | fill), team)
        store = KeeperStore.of(self.clinic)
        store.pin_team(team.public)
        store.offer(self.signed, self.roster)
        store.close()
        self.service = KeeperService(self.clinic)
        self.people = KeeperClient(Sockets(folder).admin)

    def preview(
        self, question: str = "", seconds: float = 60.0, session: str = ""
    ) -> pb.PreviewReply:
        request = pb.PreviewRequest(study=self.study.name, question=question, session=session)
        return self.people.admin("Preview", request, pb.PreviewReply, seconds, OUTGOING)

    @property
    def study(self) -> Study:
        return self.signed.study()

    def files(self) -> dict[str, bytes]:
        """All but the audit log, which has who looked."""
        return {
            str(file): hashlib.sha256(file.read_bytes()).digest()
            for file in self.clinic.path.rglob("*")
            if file.is_file() and not file.name.startswith(AUDIT_LOG)
        }

    def stop(self) -> None:
        self.people.close()
        self.service.stop()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Callable[..., Here]]:
    started: list[Here] = []

    def start(text: str = STUDY, *, imported: bool = True, empty: bool = False) -> Here:
        folder = write_clinic(tmp_path / "oak", "oak")
        if empty:
            for file in folder.glob("*.csv"):
                file.write_text(file.read_text().splitlines()[0] + "\n")
        if imported:
            import_records(ClinicFolder.open(folder))
        started.append(Here(folder, text))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def test_a_preview_says_what_leaves_and_what_this_clinic_would_add(
    here: Callable[..., Here],
) -> None:
    reply = here().preview()
    assert [q.view.name for q in reply.questions] == ["effect", "course"]
    effect, course = reply.questions
    assert len(effect.names) == len(effect.own.sum) == len(effect.own.example) == effect.view.values
    assert effect.names[0] == "waiting: people, each counts 0.5"
    assert effect.own.sum[0] == pytest.approx(1.0, abs=1e-2), "two people wait"
    assert (effect.own.admitted, effect.own.contributing, effect.own.clipped) == (4, 4, 0)
    assert "PHQ-9" in effect.view.asked + effect.view.who
    assert reply.records.startswith("the import of ")
    assert 1.0 < reply.epsilon < 2.0
    assert [*course.names, *course.own.sum, *course.own.example] == [], "a gradient is not listed"
    assert course.own.length > 0
    assert "first of 2 rounds" in course.not_own
    assert course.all_bytes == 2 * course.round_bytes


def test_nothing_is_charged_pinned_or_written(here: Callable[..., Here]) -> None:
    window = "entry_from = 2020-01-01\nentry_until = 2026-12-31"
    one = here(STUDY.replace("[cohort]", f"[cohort]\n{window}"))
    before = one.files()
    one.preview()
    assert one.files() == before
    assert not one.clinic.has_ledger
    assert not one.clinic.pins_file.exists()


def test_what_builds_on_a_release_is_not_shown_at_all(here: Callable[..., Here]) -> None:
    after = '[[questions]]\nname = "off"\nkind = "error"\nmodel = "course"\nepsilon = 1.0\n'
    (question,) = here(STUDY + after).preview("off").questions
    assert not question.HasField("own")
    assert "builds on course" in question.not_own
    assert question.names
    assert question.view.values == len(question.names)


def test_one_question_is_shown_by_its_name_and_no_other_exists(here: Callable[..., Here]) -> None:
    one = here()
    assert [q.view.name for q in one.preview("effect").questions] == ["effect"]
    with pytest.raises(PolicyRefusal, match="question-unknown") as caught:
        one.preview("other")
    assert "effect, course" in caught.value.hint


def test_outside_the_group_that_is_asked_a_clinic_adds_nobody(
    here: Callable[..., Here], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cairn_models.questions.effect.Effect.counts_at", lambda _, c: c != "oak")
    (question,) = here().preview("effect").questions
    assert question.own.admitted == 0
    assert set(question.own.sum) == {0.0}
    assert "asked of other clinics" in question.not_own


def test_an_empty_clinic_adds_zeros(here: Callable[..., Here]) -> None:
    (question,) = here(empty=True).preview("effect").questions
    assert (question.own.admitted, question.own.contributing) == (0, 0)
    assert set(question.own.sum) == {0.0}
    assert any(question.own.example), "and noise"


def test_before_the_first_import_the_files_are_read(here: Callable[..., Here]) -> None:
    one = here(imported=False)
    before = one.files()
    reply = one.preview("effect")
    assert one.files() == before
    assert reply.records == "the files; nothing was imported yet"
    assert reply.questions[0].own.admitted == 4
    (one.clinic.path / "scores.csv").unlink()
    reply = one.preview("effect")
    assert not reply.records
    assert reply.no_records
    assert reply.remedy
    assert not reply.questions[0].HasField("own")
    assert reply.questions[0].names
    assert set(before) - set(one.files()) == {str(one.clinic.path / "scores.csv")}


def test_who_has_withdrawn_since_the_import_is_not_in_it(here: Callable[..., Here]) -> None:
    one = here(imported=False)
    folder = one.clinic.path
    head, first, *others = (folder / "patients.csv").read_text().splitlines()
    told = [f"{head},ends", f"{first},2021-06-01", *(f"{line}," for line in others)]
    (folder / "patients.csv").write_text("\n".join(told) + "\n")
    with (folder / "mapping.toml").open("a") as mapping:
        mapping.write('consent_ends = "ends"\n')
    import_records(one.clinic, day=date(2021, 1, 1))
    assert (
        StudyRecords(one.clinic, lambda: date(2021, 1, 1)).peek(one.study)[0].patients.height == 4
    )
    (question,) = one.preview("effect").questions
    assert question.own.admitted == 3


def test_where_there_are_accounts_only_who_signed_in_sees_a_sum(here: Callable[..., Here]) -> None:
    one = here()
    service, word = "cairn.keeper.v1.Reviewers", "correct horse battery staple"
    made = reviewers_pb2.AddReviewerRequest(name="Ada", password=word)
    one.people.admin("AddReviewer", made, reviewers_pb2.ReviewersReply, service=service)
    reply = one.preview("effect")
    assert not reply.questions[0].HasField("own")
    assert reply.questions[0].names
    assert "signed in" in reply.no_records
    signing = reviewers_pb2.SignInRequest(name="Ada", password=word)
    session = one.people.admin("SignIn", signing, reviewers_pb2.Session, service=service)
    assert one.preview("effect", session=session.token).questions[0].own.admitted == 4
    with pytest.raises(PolicyRefusal, match="session-ended"):
        one.preview("effect", session="0" * 64)


def test_no_record_is_read_while_a_round_is_at_hand(here: Callable[..., Here]) -> None:
    one = here()
    one.service._turn.seconds = 0.05
    with one.service._turn, pytest.raises(InputError, match="keeper-busy"):
        one.preview("effect")


@pytest.mark.parametrize("method", METHODS)
def test_the_link_socket_serves_none_of_it(here: Callable[..., Here], method: str) -> None:
    one = here()
    socket = Sockets(one.clinic.path).link
    asked = pb.PreviewRequest(study="tiny").SerializeToString()
    with grpc.insecure_channel(f"unix:{socket}") as channel:
        for service in (OUTGOING, LINK):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(f"/{service}/{method}")(asked, timeout=10)
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    frame = keeper_pb2.Frame(cairn=asked).SerializeToString()
    with KeeperClient(socket) as link:
        assert b"waiting" not in link.forward(asked)
        assert b"waiting" not in link.forward(frame)


@pytest.mark.parametrize("text", [STUDY, RECOVERED])
def test_the_size_is_that_of_an_upload(bench: Make, text: str) -> None:
    b = bench(text=text)
    b.set_up()
    asked = askable(b.study, len(b.keepers))["effect"]
    assert len(b.ask(b.requests()).to_bytes()) == upload_bytes(asked.terms, len(b.keepers))
