"""What a clinic takes in from its research team, and how it keeps it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cairn_client.keeper import Keeper
from cairn_client.returned.findings_store import MOST_VERSIONS, FindingsStore
from cairn_client.returned.pooled import MODEL_FILES, Pooled
from cairn_client.returned.shelf import Shelf
from cairn_models.export import files
from cairn_protocol.errors import CairnError, InputError, PeerFault, PolicyRefusal
from cairn_protocol.identity import Identity, verify
from cairn_protocol.messages import Findings, Received, Refusal, decode
from cairn_protocol.study import Study
from returned_bench import STUDY, ReturnedBench, pooled_effect, results_json

WHOLE = {f"course/{name}": b"x" for name in MODEL_FILES}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ReturnedBench]:
    one = ReturnedBench(tmp_path / "ash")
    yield one
    one.close()


def refused(bench: ReturnedBench, findings: Findings) -> str:
    with pytest.raises((PeerFault, PolicyRefusal)) as error:
        bench.keep(findings)
    assert bench.kept.versions(bench.study.digest) == ()
    return error.value.code


def test_a_keeper_takes_findings_and_signs_that_it_did(bench: ReturnedBench) -> None:
    keeper = Keeper(bench.clinic, bench.store, findings=bench.desk)
    findings = bench.findings(WHOLE)
    reply = decode(keeper.forward(findings.to_bytes()))
    assert isinstance(reply, Received)
    assert (reply.study, reply.findings) == (bench.study.digest, findings.digest)
    own = keeper.identity.public
    assert reply.identity == own
    assert verify(own, "received", reply.signed, reply.signature)
    assert keeper.forward(findings.to_bytes()) == reply.to_bytes()
    assert len(bench.kept.versions(bench.study.digest)) == 1
    (returned,) = Shelf(bench.store, bench.kept).all()
    assert returned.pooled.answers[0].title == "Difference in change at week 8"
    assert set(returned.pooled.models) == {"course"}


def test_a_keeper_without_a_place_for_findings_takes_none(bench: ReturnedBench) -> None:
    keeper = Keeper(bench.clinic, bench.store)
    reply = decode(keeper.forward(bench.findings().to_bytes()))
    assert isinstance(reply, Refusal)
    assert reply.code == "policy.no-findings"


def test_only_this_clinics_team_is_believed(bench: ReturnedBench) -> None:
    stranger = Identity.generate()
    assert refused(bench, bench.findings(team=stranger)) == "peer.findings-forged"
    genuine, other = bench.findings(), bench.findings(WHOLE)
    moved = Findings(other.study, other.files, genuine.signature)
    assert refused(bench, moved) == "peer.findings-forged"


@pytest.mark.parametrize("state", ["refused", "offered"])
def test_who_does_not_stand_by_a_study_gets_nothing_from_it(
    bench: ReturnedBench, state: str
) -> None:
    bench.decide(state)
    assert refused(bench, bench.findings()) == "policy.findings-unwanted"


def test_who_left_gets_nothing_and_who_paused_does(bench: ReturnedBench) -> None:
    bench.decide("paused")
    bench.keep(bench.findings())
    assert len(bench.kept.versions(bench.study.digest)) == 1
    bench.decide("left")
    with pytest.raises(PolicyRefusal):
        bench.keep(bench.findings(WHOLE))
    assert len(bench.kept.versions(bench.study.digest)) == 1


def test_a_study_that_was_never_offered_gives_nothing(bench: ReturnedBench) -> None:
    assert refused(bench, bench.findings(study=bytes(32))) == "policy.study-unknown"


def other_study() -> Study:
    return Study.parse(STUDY.replace("300", "301").encode())


@pytest.mark.parametrize(
    ("results", "code"),
    [
        (b"no JSON", "unreadable"),
        (b"[]", "unreadable"),
        (b"null", "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (b"{}", "unreadable"),
        (results_json(Study.parse(STUDY.encode()), (), schema="cairn-results/9"), "unreadable"),
        (results_json(Study.parse(STUDY.encode()), (), answers=[{"question": 1}]), "unreadable"),
        (results_json(Study.parse(STUDY.encode()), (), synthetic="perhaps"), "unreadable"),
        (results_json(other_study(), ()), "foreign"),
    ],
)
def test_results_must_be_those_of_the_study(
    bench: ReturnedBench, results: bytes, code: str
) -> None:
    assert refused(bench, bench.findings(results=results)) == f"peer.findings-{code}"


def test_answers_must_be_to_the_studys_questions(bench: ReturnedBench) -> None:
    answer = pooled_effect(bench.study)
    for answers in (
        [{**answer.to_json(), "question": "other"}],
        [{**answer.to_json(), "kind": "rates"}],
        [answer.to_json(), answer.to_json()],
    ):
        results = results_json(bench.study, (), answers=answers)
        assert refused(bench, bench.findings(results=results)) == "peer.findings-foreign"


@pytest.mark.parametrize(
    ("files_", "code"),
    [
        ({"course/model.safetensors": b"x"}, "unreadable"),
        ({f"effect/{name}": b"x" for name in MODEL_FILES}, "foreign"),
        ({**WHOLE, "course/run.py": b"x"}, "foreign"),
        ({"notes.txt": b"x"}, "foreign"),
    ],
)
def test_files_must_be_whole_models_of_the_study(
    bench: ReturnedBench, files_: dict[str, bytes], code: str
) -> None:
    assert refused(bench, bench.findings(files_)) == f"peer.findings-{code}"


def test_a_models_files_are_those_that_an_export_needs() -> None:
    assert set(files.NEEDED) == MODEL_FILES


def test_another_file_of_the_same_study_is_a_version_of_its_own(bench: ReturnedBench) -> None:
    first, second = bench.findings(), bench.findings(WHOLE)
    for findings in (first, second, first):
        bench.keep(findings)
    versions = bench.kept.versions(bench.study.digest)
    assert [(v.number, v.findings) for v in versions] == [(1, first.digest), (2, second.digest)]
    assert [bench.kept.read(version) for version in versions] == [first, second]
    assert bench.kept.studies() == (bench.study.digest,)
    assert bench.kept.last(bench.study.digest) == versions[1]
    reopened = FindingsStore(bench.clinic.state, bench.clinic.identity())
    assert reopened.versions(bench.study.digest) == versions


def test_versions_are_bounded(bench: ReturnedBench) -> None:
    for number in range(MOST_VERSIONS):
        results = results_json(bench.study, (), stopped=str(number))
        bench.keep(bench.findings(results=results))
    with pytest.raises(PolicyRefusal, match="too many findings"):
        bench.keep(bench.findings())
    bench.keep(bench.findings(results=results_json(bench.study, (), stopped="0")))  # known


def sealed(bench: ReturnedBench) -> list[Path]:
    return sorted((bench.clinic.state / "returned").rglob("*.sealed"))


def test_what_came_back_is_sealed_and_for_its_owner_alone(bench: ReturnedBench) -> None:
    bench.keep(bench.findings(WHOLE))
    (path,) = sealed(bench)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(path.parent).st_mode & 0o777 == 0o700
    assert b"Difference in change" not in path.read_bytes()


def test_what_was_changed_or_moved_is_not_opened(bench: ReturnedBench) -> None:
    bench.keep(bench.findings())
    bench.keep(bench.findings(WHOLE))
    first, second = sealed(bench)
    whole = first.read_bytes()
    for data in (whole[:-1] + bytes((whole[-1] ^ 1,)), whole[:-1], b"", second.read_bytes()):
        first.write_bytes(data)
        with pytest.raises(InputError) as error:
            bench.kept.read(bench.kept.versions(bench.study.digest)[0])
        assert error.value.code == "input.findings-damaged"
    first.write_bytes(whole)
    assert len(bench.kept.versions(bench.study.digest)) == 2
    stranger = FindingsStore(bench.clinic.state, Identity.generate())
    with pytest.raises(InputError):
        stranger.versions(bench.study.digest)


def test_a_refusal_holds_no_word_of_what_came(bench: ReturnedBench) -> None:
    marked = json.dumps({"schema": "SECRET-WORD"}).encode()
    with pytest.raises(CairnError) as error:
        Pooled.of(bench.findings(results=marked), bench.study)
    assert "SECRET-WORD" not in f"{error.value} {error.value.why} {error.value.hint}"
