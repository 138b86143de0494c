"""policy.toml: each setting can only tighten, is shown, and holds at every request."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.clinic_policy import ClinicPolicy, PolicyFile
from cairn_client.keeper_store import KeeperStore
from cairn_client.study_rules import StudyRules
from cairn_privacy.accounting import rho_for
from cairn_privacy.ledger import Ledger
from cairn_protocol.errors import InputError, PolicyRefusal
from cairn_protocol.messages import (
    Closed,
    Confirmation,
    KeyPackage,
    Offer,
    Refusal,
    Standing,
    Upload,
)
from cairn_protocol.record import Message
from cairn_protocol.study import Study
from keeper_bench import RECOVERED, STUDY, Bench, write_clinic

Make = Callable[..., Bench]
PUBLIC = STUDY.replace("[policy]", '[privacy]\ndata = "public"\n[policy]').replace(
    "epsilon = 1.0\n", ""
)


def refused(reply: Message) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.code


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_clinic(tmp_path / "oak", "oak")


def policy_of(folder: Path, text: str) -> ClinicPolicy:
    (folder / "policy.toml").write_text(text)
    return PolicyFile(ClinicFolder.open(folder)).policy()


def broken(folder: Path, text: str, study: str = STUDY, ledger: Ledger | None = None) -> str:
    """Which rules of the policy the study breaks, in words; empty: none."""
    (folder / "policy.toml").write_text(text)
    rules = StudyRules(ClinicFolder.open(folder), lambda: ledger)
    try:
        rules.check(Study.parse(study.encode()))
    except PolicyRefusal as error:
        return error.why
    return ""


# The setting as it refuses the study, as it just admits it, and the words of the refusal.
SETTINGS = [
    ("max_epsilon_study = 1.3", "max_epsilon_study = 1.6", "max_epsilon_study is 1.3"),
    ("max_epsilon_patient = 1.3", "max_epsilon_patient = 1.6", "max_epsilon_patient is 1.3"),
    ("max_delta = 9e-7", "max_delta = 1e-6", "max_delta is 9e-07"),
    ("min_clinics = 4", "min_clinics = 3", "policy.clinics is 3, min_clinics is 4"),
    ("min_survivors = 4", "min_survivors = 3", "policy.survivors is 3"),
    ("min_threshold = 4", "min_threshold = 3", "policy.threshold is 3"),
    ("min_colluding = 2", "min_colluding = 1", "policy.colluding is 1"),
    ("min_cell_patients = 11", "min_cell_patients = 10", "disclosure.patients is 10"),
    ("min_cell_clinics = 4", "min_cell_clinics = 3", "disclosure.clinics is 3"),
    ('questions = ["effect"]', 'questions = ["effect", "trajectory"]', "it asks trajectory"),
    ("questions = []", 'questions = ["trajectory", "effect"]', "it asks effect, trajectory"),
    ("training = false", "training = true", "it trains a model (course)"),
    ("max_rounds = 2", "max_rounds = 3", "it may take 3 rounds, max_rounds is 2"),
    ('code = "0.0.9"', 'code = ">=0.0.9"', "code asks for 0.0.9"),
]


@pytest.mark.parametrize(("tight", "loose", "words"), SETTINGS)
def test_each_setting_refuses_what_it_says_and_no_more(
    folder: Path, tight: str, loose: str, words: str
) -> None:
    assert words in broken(folder, tight)
    assert broken(folder, loose) == ""


def test_exact_answers_and_made_up_patients_can_be_refused(folder: Path) -> None:
    assert "noise_required" in broken(folder, "noise_required = true", PUBLIC)
    assert broken(folder, "noise_required = true") == ""
    assert broken(folder, "noise_required = false", PUBLIC) == ""
    rehearsal = STUDY.replace("[outcome]", "synthetic = true\n[outcome]", 1)
    assert "made-up patients" in broken(folder, "synthetic = false", rehearsal)
    assert broken(folder, "synthetic = true", rehearsal) == ""


def test_every_setting_is_held_to_in_this_file() -> None:
    here = Path(__file__).read_text()
    for name in ClinicPolicy.model_fields:
        assert re.search(rf"\b{name} = ", here), name


def test_rounds_that_may_be_asked_again_count(folder: Path) -> None:
    retried = STUDY.replace("[policy]", "[privacy]\nretries = 1\n[policy]")
    assert "it may take 4 rounds" in broken(folder, "max_rounds = 3", retried)
    assert broken(folder, "max_rounds = 4", retried) == ""


def test_courses_are_off_until_they_are_turned_on(folder: Path) -> None:
    assert not policy_of(folder, "").courses
    assert policy_of(folder, "courses = true").courses


def test_every_broken_rule_is_named_at_once(folder: Path) -> None:
    why = broken(folder, "min_clinics = 9\nmin_threshold = 8\ntraining = false")
    assert len(why.split("; ")) == 3


def test_what_was_spent_counts_towards_a_patients_epsilon(folder: Path) -> None:
    assert broken(folder, "max_epsilon_patient = 1.6") == ""
    with ClinicFolder.open(folder).ledger() as ledger:
        ledger.reserve(bytes(32), "effect", 0, 0, rho_for(1.0, 1e-6))
        why = broken(folder, "max_epsilon_patient = 1.6", ledger=ledger)
        assert "max_epsilon_patient is 1.6" in why
        assert broken(folder, "max_epsilon_patient = 2.2", ledger=ledger) == ""


def test_what_a_study_has_spent_itself_is_not_counted_twice(folder: Path) -> None:
    study = Study.parse(STUDY.encode())
    with ClinicFolder.open(folder).ledger() as ledger:
        ledger.reserve(study.digest, "effect", 0, 0, rho_for(1.0, 1e-6))
        assert broken(folder, "max_epsilon_patient = 1.6", ledger=ledger) == ""


@pytest.mark.parametrize("name", ["max_epsilon_study", "max_epsilon_patient"])
def test_a_policy_that_would_loosen_is_an_error_with_its_remedy(folder: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        policy_of(folder, f"{name} = 8.5")
    assert caught.value.code == "input.policy-loosens"
    assert "lower" in caught.value.hint
    assert policy_of(folder, f"{name} = 8.0")


@pytest.mark.parametrize(
    "text",
    [
        "approvals = 3",
        "approvals = 0",
        "max_epsilon_study = 21",
        "max_epsilon_study = nan",
        "max_delta = 0.01",
        "min_colluding = 0",
        "min_clinics = 2",
        "max_rounds = 0",
        'questions = ["efect"]',
        'code = "newest"',
        'code = "<=1.0"',
        "courses = 1",
        "training = 0",
        "max_epsilon = 1.0",
        "min_clinics = ",
        "\xff",
    ],
)
def test_a_file_that_means_nothing_is_refused(folder: Path, text: str) -> None:
    (folder / "policy.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError):
        PolicyFile(ClinicFolder.open(folder)).policy()


def test_a_file_that_cannot_be_read_is_not_taken_for_none(folder: Path) -> None:
    (folder / "policy.toml").symlink_to(folder / "nowhere")
    file = PolicyFile(ClinicFolder.open(folder))
    with pytest.raises(InputError):
        file.policy()
    with pytest.raises(PolicyRefusal):
        file.usable()
    (folder / "policy.toml").unlink()
    assert file.policy() == ClinicPolicy()


def test_a_huge_file_is_not_read(folder: Path) -> None:
    (folder / "policy.toml").write_bytes(b"#" * (1 << 20))
    with pytest.raises(InputError) as caught:
        PolicyFile(ClinicFolder.open(folder)).policy()
    assert caught.value.code == "input.file-too-large"


def test_a_changed_file_is_seen_and_an_unchanged_one_is_not_read_again(folder: Path) -> None:
    file = PolicyFile(ClinicFolder.open(folder))
    assert file.approvals() == 1
    (folder / "policy.toml").write_text("approvals = 2\n")
    assert file.approvals() == 2
    held = file.policy()
    assert file.policy() is held
    other = folder / "other"
    other.write_text("approvals = 1\n")
    os.utime(other, ns=(0, 0))
    os.replace(other, folder / "policy.toml")
    assert file.approvals() == 1
    (folder / "policy.toml").unlink()
    assert file.policy() == ClinicPolicy()


class Kept:
    """A bench whose first clinic has a store, people who said yes, and a policy."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.settle(0)
        self.store: KeeperStore = bench.boot(0)
        self.file = bench.keepers[0].clinic.path / "policy.toml"


@pytest.fixture
def kept(bench: Make) -> Kept:
    return Kept(bench())


TIGHT = "min_clinics = 4\nmax_epsilon_patient = 0.5\n"


def test_a_tightened_policy_stops_a_study_before_its_run(kept: Kept) -> None:
    kept.file.write_text(TIGHT)
    b = kept.bench
    assert refused(b.ask(b.opening)) == "policy.clinic-policy"
    kept.file.unlink()
    assert isinstance(b.ask(b.opening), KeyPackage)


def test_a_tightened_policy_stops_a_study_at_its_next_message(kept: Kept) -> None:
    b = kept.bench
    b.everyone(b.opening)
    packages = b.server.packages()
    kept.file.write_text(TIGHT)
    assert refused(b.ask(packages)) == "policy.clinic-policy"
    kept.file.unlink()
    b.everyone(packages)
    requests = b.requests()
    kept.file.write_text(TIGHT)
    assert refused(b.ask(requests)) == "policy.clinic-policy"
    assert b.keepers[0].ledger.spent() == 0
    kept.file.unlink()
    assert isinstance(b.ask(requests), Upload)
    kept.file.write_text(TIGHT)
    assert refused(b.ask(requests)) == "policy.clinic-policy", "a kept reply does not leave either"


def test_a_tightened_policy_stops_an_opening(bench: Make) -> None:
    k = Kept(bench(text=RECOVERED))
    b = k.bench
    b.set_up()
    b.everyone(b.requests(), but=(4,))
    survivors = b.server.survivors()
    k.file.write_text("min_clinics = 6\n")
    assert refused(b.ask(survivors)) == "policy.clinic-policy"
    k.file.unlink()
    assert not isinstance(b.ask(survivors), Refusal)


def test_a_tightened_policy_while_an_answer_is_computed_holds_it_back(bench: Make) -> None:
    b = bench()
    b.settle(0)
    file = b.keepers[0].clinic.path / "policy.toml"

    def passing(step: str) -> None:
        if step == "answered":
            file.write_text(TIGHT)

    b.boot(0, passing=passing)
    b.set_up()
    assert refused(b.ask(b.requests())) == "policy.clinic-policy"


def test_a_run_that_is_over_may_be_closed_under_any_policy(kept: Kept) -> None:
    b = kept.bench
    b.set_up()
    kept.file.write_text("approvals = three")
    assert isinstance(b.ask(b.server.close("done")), Closed)


def test_the_server_is_not_told_which_rule(kept: Kept) -> None:
    kept.file.write_text(TIGHT)
    reply = kept.bench.ask(kept.bench.opening)
    assert isinstance(reply, Refusal)
    for word in ("min_clinics", "epsilon", "0.5", "4"):
        assert word not in f"{reply.what} {reply.why} {reply.hint}"


def test_a_policy_that_cannot_be_used_stops_everything_and_quotes_nothing(kept: Kept) -> None:
    b = kept.bench
    kept.file.write_text('secret = "a name"')
    for message in (b.opening, Offer(b.signed, b.roster)):
        reply = b.ask(message)
        assert isinstance(reply, Refusal)
        assert reply.code == "policy.clinic-policy-unusable"
        assert "secret" not in f"{reply.what} {reply.why} {reply.hint}"
        assert str(kept.file.parent) not in f"{reply.what} {reply.why} {reply.hint}"
    kept.file.unlink()
    assert isinstance(b.ask(Offer(b.signed, b.roster)), Standing)
    assert isinstance(b.ask(b.opening), KeyPackage)
    assert isinstance(b.ask(b.opening), KeyPackage | Confirmation)
