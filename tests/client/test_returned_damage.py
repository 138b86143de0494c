"""A damaged file of what came back: the rest is read, and nothing that came is written over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cairn_client.returned.findings_store import TunedFiles
from cairn_client.returned.shelf import Returned, Shelf
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.messages import Findings
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from returned_bench import STUDY, ReturnedBench, results_json


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ReturnedBench]:
    one = ReturnedBench(tmp_path / "ash")
    yield one
    one.close()


def released(bench: ReturnedBench, *which: str) -> list[Findings]:
    """Releases of the study, one after the other, as the clinic has kept them."""
    found = [bench.findings(results=results_json(bench.study, (), stopped=one)) for one in which]
    for findings in found:
        bench.keep(findings)
    return found


def file_of(bench: ReturnedBench, number: int) -> Path:
    return bench.clinic.state / "returned" / bench.study.digest.hex() / f"{number:04}.sealed"


def damage(bench: ReturnedBench, number: int) -> None:
    file_of(bench, number).write_bytes(b"nothing of ours")


def other_study(bench: ReturnedBench) -> Findings:
    """What came back from another study of the team, called `later`."""
    study = Study.parse(STUDY.replace('"waits"', '"later"').encode())
    signed = SignedStudy.sign(study, bench.team)
    keys = {entry.clinic: entry.identity for entry in bench.roster.roster.entries}
    roster = SignedRoster.sign(Roster.first(signed, keys), bench.team)
    bench.store.offer(signed, roster)
    bench.store.decide(signed.digest, roster.roster.digest, "approved", "Ada")
    findings = bench.findings(results=results_json(study, ()), study=study.digest)
    bench.keep(findings)
    return findings


def names(found: list[Returned]) -> list[str]:
    return [one.pooled.study.name for one in found]


def test_a_release_after_a_damaged_one_was_taken_away_replaces_none(bench: ReturnedBench) -> None:
    first, second = released(bench, "1", "2")
    damage(bench, 1)
    file_of(bench, 1).unlink()
    (third,) = released(bench, "3")
    versions = bench.kept.versions(bench.study.digest)
    assert [(v.number, v.findings) for v in versions] == [(2, second.digest), (3, third.digest)]
    bench.keep(first)
    assert [v.number for v in bench.kept.versions(bench.study.digest)] == [2, 3, 4]
    file_of(bench, 4).unlink()
    bench.keep(first)
    assert [v.number for v in bench.kept.versions(bench.study.digest)] == [2, 3, 4]


def test_a_release_comes_in_beside_a_damaged_one(bench: ReturnedBench) -> None:
    first, _ = released(bench, "1", "2")
    damage(bench, 1)
    bench.keep(first)
    bench.keep(first)
    assert sorted(path.name for path in file_of(bench, 1).parent.iterdir()) == [
        *("0001.sealed", "0002.sealed", "0003.sealed")
    ]
    (returned,) = Shelf(bench.store, bench.kept).all()
    assert (returned.version.number, returned.version.findings) == (3, first.digest)


def test_one_damaged_study_hides_no_other(bench: ReturnedBench) -> None:
    released(bench, "1", "2")
    other_study(bench)
    shelf = Shelf(bench.store, bench.kept)
    assert sorted(names(shelf.all())) == ["later", "waits"]
    damage(bench, 1)
    assert sorted(names(shelf.all())) == ["later", "waits"], "the last release is shown"
    damage(bench, 2)
    assert names(shelf.all()) == ["later"], "and none before it in its place"
    assert shelf.one("").pooled.study.name == shelf.one("later").pooled.study.name == "later"
    for wanted in ("waits", bench.study.digest.hex()[:8]):
        with pytest.raises(InputError) as caught:
            shelf.one(wanted)
        assert caught.value.code == "input.findings-damaged"
        assert "0002.sealed" in caught.value.what
    with pytest.raises(PolicyRefusal):
        shelf.one("nothing")


def test_where_nothing_else_came_back_the_damage_is_told(bench: ReturnedBench) -> None:
    shelf = Shelf(bench.store, bench.kept)
    assert shelf.all() == []
    released(bench, "1")
    damage(bench, 1)
    (bench.clinic.state / "returned" / "lost+found").mkdir()
    for look in (shelf.all, lambda: shelf.one(""), lambda: shelf.with_model("")):
        with pytest.raises(InputError) as caught:
            look()
        assert caught.value.code == "input.findings-damaged"


def test_a_damaged_tuned_model_hides_no_study(bench: ReturnedBench) -> None:
    (findings,) = released(bench, "1")
    tuned = TunedFiles(findings.digest, datetime.now(UTC), {"a": b"b"})
    bench.kept.keep_tuned(bench.study.digest, "course", tuned)
    shelf = Shelf(bench.store, bench.kept)
    (returned,) = shelf.all()
    assert shelf.tuned(returned, "course") == tuned
    file_of(bench, 1).with_name("tuned-course.sealed").write_bytes(b"nothing of ours")
    assert shelf.tuned(returned, "course") is None
