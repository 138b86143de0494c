"""`cairn study new`: a study that a researcher can read, that plans, and that runs as it stands."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cairn_app.cli import app
from cairn_app.embedded_study import EmbeddedStudy
from cairn_app.study_source import with_epsilons
from cairn_app.study_template import Template, Window
from cairn_client.clinic_folder import clinic_folders
from cairn_models.questions import KINDS, build
from cairn_privacy.accounting import epsilon_of_rho, rho_for
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study
from cairn_server.planning import plan_study, split_budget
from cairn_server.safe_policy import safe_policy

TODAY = date(2026, 11, 22)
SETTING = re.compile(r"^([a-z_]+) = ")


def study(
    clinics: int = 10, patients: int = 3000, epsilon: float = 3.0, synthetic: bool = False
) -> Study:
    window = Window.synthetic() if synthetic else Window.before(TODAY)
    return Study.parse(
        Template.named("waitlist-dmhi").fill(
            clinics=clinics,
            patients=patients,
            epsilon=epsilon,
            window=window,
            synthetic=synthetic,
        )
    )


def new(*arguments: str, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.chdir(cwd)
    return CliRunner().invoke(app, ["study", "new", *arguments])


def test_it_asks_what_reviews_left_open_with_the_kinds_for_patients() -> None:
    kinds = {q.kind for q in study().questions}
    asked = {"describe", "effect", "rates", "retention", "time_to_event", "trajectory", "error"}
    assert kinds >= asked
    assert kinds <= set(KINDS) - {"mixed_model", "gee"}  # of public data alone
    events = {q.settings.get("event") for q in study().questions if q.kind == "retention"}
    assert events == {"measurement", "programme"}  # the two dropouts, apart


def test_the_documented_example_says_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "study-file.md").read_text()
    command, *shown = page.split("```\n$ cairn study new ")[1].split("\n```")[0].splitlines()
    done = new(*command.split(), cwd=tmp_path, monkeypatch=monkeypatch)
    assert shown[-1] == "…"
    assert done.stdout.splitlines()[: len(shown) - 1] == shown[:-1]  # type: ignore[attr-defined]


@pytest.mark.parametrize("epsilon", ["0", "-1", "nan", "inf", "1e9"])
def test_an_epsilon_that_nobody_can_spend_is_refused_before_anything(
    tmp_path: Path, epsilon: str
) -> None:
    file = tmp_path / "study.toml"
    file.write_bytes(study().source)
    told = CliRunner().invoke(app, ["study", "plan", str(file), "--epsilon", epsilon])
    assert isinstance(told.exception, InputError)
    assert told.exception.code == "input.plan-epsilon"


@pytest.mark.parametrize(
    ("clinics", "patients", "epsilon"),
    [(3, 3000, 3.0), (5, 860, 4.0), (10, 3000, 3.0), (20, 10000, 3.0)],
)
def test_what_it_writes_builds_plans_and_is_safe(
    clinics: int, patients: int, epsilon: float
) -> None:
    written = study(clinics, patients, epsilon)
    for spec in written.questions:
        assert build(spec, written).shape.length > 0
    assert written.policy == safe_policy(clinics)
    assert written.policy.faults() == []
    assert written.cohort.planned_patients == patients
    plan = plan_study(written)
    plan.check()
    assert not plan.open_ended


def test_the_named_primary_results_are_precise_at_the_defaults() -> None:
    """At ε = 3 for the whole study, noise widens no primary interval by more than 40 %."""
    inflations = [q.inflation for q in plan_study(study()).questions if q.inflation is not None]
    assert len(inflations) == 9
    assert max(inflations) <= 0.27
    assert max(inflations) - min(inflations) < 0.02  # the split makes them alike


def test_questions_that_stand_as_comments_can_be_asked_and_leave_the_rest_precise() -> None:
    whole = study().source.decode()
    before, _, rest = whole.partition("# [[questions]]")
    commented, _, after = ("# [[questions]]" + rest).partition("\n\n")
    asked = "\n".join(line.removeprefix("#").removeprefix(" ") for line in commented.split("\n"))
    full = Study.parse("\n\n".join((before + asked, after)).encode())
    assert {"who-steps-up", "who-improves"} == {q.name for q in full.questions} - {
        q.name for q in study().questions
    }
    shares = split_budget(full, 3.0)
    split = Study.parse(with_epsilons(full.source, shares, where="study.toml"))
    plan = plan_study(split)
    plan.check()
    assert plan.epsilon <= 3.0
    assert max(q.inflation for q in plan.questions if q.inflation is not None) <= 0.4


@settings(deadline=None, max_examples=40)  # shaping noise takes its time, once
@given(epsilon=st.floats(0.5, 8.0), clinics=st.integers(3, 60))
def test_no_split_costs_more_than_was_given(epsilon: float, clinics: int) -> None:
    plan = plan_study(study(clinics=clinics, epsilon=epsilon))
    assert plan.epsilon <= epsilon
    assert plan.epsilon >= 0.9 * epsilon
    (course,) = (q for q in plan.questions if q.kind == "trajectory")
    share = course.rho / rho_for(epsilon, 1e-6)
    assert 0.2 < share <= 0.2501, epsilon_of_rho(course.rho, 1e-6)


def test_every_setting_is_explained_where_it_first_stands() -> None:
    lines = study().source.decode().splitlines()
    explained, met = set(), set()
    for before, line in zip(["", *lines], lines, strict=False):
        if found := SETTING.match(line):
            met.add(found[1])
            if " # " in line or before.startswith("#"):
                explained.add(found[1])
    assert met - explained == set()
    assert all(len(line) <= 104 for line in lines)


def test_every_question_of_the_file_begins_with_a_question() -> None:
    text = study().source.decode()
    headings = re.findall(r"^\[\[questions\]\] +# (.+)$", text, re.MULTILINE)
    assert len(headings) == len(study().questions)
    assert all("?" in heading for heading in headings)


@given(today=st.dates(date(2024, 1, 1), date(2099, 12, 31)))
def test_the_window_is_eight_whole_quarters_that_were_followed_long_enough(today: date) -> None:
    window = Window.before(today)
    assert window.last + timedelta(weeks=16) <= today
    assert today - window.last < timedelta(weeks=16) + timedelta(days=92)
    after = window.last + timedelta(days=1)
    assert {window.first.day, after.day} == {1}
    assert {window.first.month % 3, after.month % 3} == {1}
    assert (after.year, after.month) == (window.first.year + 2, window.first.month)


def test_the_command_writes_once_and_never_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = new(cwd=tmp_path, monkeypatch=monkeypatch)
    assert done.exit_code == 0, done.output  # type: ignore[attr-defined]
    assert "10 questions" in done.stdout  # type: ignore[attr-defined]
    first = (tmp_path / "study.toml").read_bytes()
    Study.parse(first)
    again = new("--patients", "900", cwd=tmp_path, monkeypatch=monkeypatch)
    assert isinstance(again.exception, InputError)  # type: ignore[attr-defined]
    assert again.exception.code == "input.file-exists"  # type: ignore[attr-defined]
    assert (tmp_path / "study.toml").read_bytes() == first
    planned = CliRunner().invoke(app, ["study", "plan", "study.toml"])
    assert planned.exit_code == 0, planned.output


def test_a_study_that_noise_would_swamp_is_written_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = new("--clinics", "3", "--patients", "150", cwd=tmp_path, monkeypatch=monkeypatch)
    assert "Not worth asking as it stands" in done.stdout  # type: ignore[attr-defined]
    assert "plan more patients" in done.stdout  # type: ignore[attr-defined]
    line = new(
        "--patients", "150", "--out", "b.toml", "--json", cwd=tmp_path, monkeypatch=monkeypatch
    )
    assert json.loads(line.stdout)["faults"]  # type: ignore[attr-defined]


def test_the_list_names_every_template_and_what_it_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = new("--template", "list", cwd=tmp_path, monkeypatch=monkeypatch)
    assert "waitlist-dmhi\n  Does a digital programme help" in told.stdout  # type: ignore[attr-defined]
    as_json = new("--template", "list", "--json", cwd=tmp_path, monkeypatch=monkeypatch)
    assert list(json.loads(as_json.stdout)) == [t.name for t in Template.all()]  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--template", "waiting"), "input.template-unknown"),
        (("--template", "../demo_study"), "input.template-unknown"),
        (("--clinics", "2"), "input.clinics-too-few"),
        (("--clinics", "500"), "input.clinics-too-many"),
        (("--patients", "0"), "input.template-patients"),
        (("--epsilon", "0.1"), "input.template-epsilon"),
        (("--epsilon", "20"), "input.template-epsilon"),
        (("--epsilon", "nan"), "input.template-epsilon"),
        (("--out", "missing/study.toml"), "input.file-unwritable"),
    ],
)
def test_a_mistake_is_refused_with_a_remedy_and_writes_nothing(
    arguments: tuple[str, ...], code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = new(*arguments, cwd=tmp_path, monkeypatch=monkeypatch)
    assert isinstance(done.exception, InputError)  # type: ignore[attr-defined]
    assert done.exception.code == code  # type: ignore[attr-defined]
    assert done.exception.hint  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_it_runs_from_end_to_end_on_synthetic_clinics(
    federation: Callable[..., Path], tmp_path: Path
) -> None:
    """As written, but for two rounds of training where the file asks for forty."""
    source = study(clinics=5, patients=450, epsilon=8.0, synthetic=True).source
    assert tomllib.loads(source.decode())["synthetic"] is True
    quick = Study.parse(source.replace(b"rounds = 40", b"rounds = 2"))
    engine = EmbeddedStudy(quick, clinic_folders(federation(sizes=(90,) * 5)))
    results = engine.run()
    assert results.stopped == ""
    assert [a.question for a in results.answers] == [q.name for q in quick.questions]
    frame = results.estimates()
    told = frame[frame["suppressed"] == ""].groupby("question").size()
    assert set(told.index) == {q.name for q in quick.questions if q.kind != "trajectory"}
    primary = {(q.name, name) for q in quick.questions for name in q.primary}
    assert primary <= set(zip(frame["question"], frame["name"], strict=True))
    assert results.spend.total.epsilon is not None
    assert results.spend.total.epsilon <= 8.0
