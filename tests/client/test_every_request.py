"""What a keeper holds against the approved study at every request, one thing at a time.

Each test asks for something else than the signed study says: another model, layout, bound, noise,
round, set of clinics, minimum or version of the code. Nothing is charged and nothing leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from cairn_client import study_rules
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol import code_version
from cairn_protocol.context import Context, state_bytes
from cairn_protocol.messages import Packages, Refusal, RoundRequest, Survivors, Upload
from cairn_protocol.record import Message
from keeper_bench import RECOVERED, STUDY, Bench

Make = Callable[..., Bench]
VERSION = "0.1.0"
NAMED = 'title = "A tiny study"\n'


def refused(reply: Message) -> str:
    assert isinstance(reply, Refusal), reply
    return reply.code


OTHER_SUMS: tuple[dict[str, object], ...] = (
    {"length": 10},
    {"modulus_bits": 64},
    {"reach": 7},
    {"grid": 0.5},
    {"bound": 100.0},
    {"sigma": 0.001},
    {"state": bytes(32)},
    {"study": bytes(32)},
    {"roster": bytes(32)},
)


@pytest.fixture
def ready(bench: Make) -> Iterator[Bench]:
    """Keys are agreed; whatever a test asked, nothing was charged."""
    b = bench()
    b.set_up()
    yield b
    assert b.keepers[0].ledger.spent() == 0


def headed(request: RoundRequest, **other: object) -> RoundRequest:
    """The request under a header that differs in these."""
    return replace(request, header=replace(request.header, **other))  # type: ignore[arg-type]


def test_another_layout_bound_or_noise_than_the_studys(
    ready: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, meant = QuestionTerms.context, []

    def noted(self: QuestionTerms, *args: object) -> Context:
        meant.append(honest(self, *args))  # type: ignore[arg-type]
        return meant[-1]

    with monkeypatch.context() as patched:
        patched.setattr(QuestionTerms, "context", noted)
        request = ready.request()
    for other in OTHER_SUMS:
        context = replace(meant[0], **other)  # type: ignore[arg-type]
        lie = headed(request, context=context.digest)
        assert refused(ready.ask(lie)) == "peer.context-differs", other


def test_another_model_than_the_studys(ready: Bench) -> None:
    request = ready.request("course")
    planted = request.public.copy()
    planted[0] += 1
    other = replace(request, public_state=state_bytes(planted))
    assert refused(ready.ask(other)) == "peer.state-planted"
    short = replace(request, public_state=state_bytes(request.public[:-1]))
    assert refused(ready.ask(short)) == "peer.state-length"


def test_more_rounds_or_other_questions_than_the_studys(ready: Bench) -> None:
    for question, round_ in (("effect", 1), ("course", 2), ("course", 3)):
        assert refused(ready.ask(ready.request(question, round_=round_))) == "peer.not-asked"
    request = ready.request()
    assert refused(ready.ask(headed(request, question="smallest"))) == "peer.not-asked"
    assert refused(ready.ask(headed(request, question="course"))) == "peer.state-length"


def test_other_clinics_than_agreed_on_keys(ready: Bench) -> None:
    for participants in ((0, 1), (0,), (0, 1, 2, 3), (1, 2)):
        lie = headed(ready.request(), participants=participants)
        assert refused(ready.ask(lie)) == "peer.participants"


def test_fewer_clinics_than_the_studys_minimum_agree_on_no_keys(bench: Make) -> None:
    b = bench(text=RECOVERED)
    b.everyone(b.opening, but=(3,))
    packages = b.server.packages()
    assert isinstance(packages, Packages)
    few = replace(packages, packages=packages.packages[:3])
    assert refused(b.ask(few)) == "peer.packages-incomplete"


def test_fewer_survivors_than_the_studys_minimum_open_nothing(bench: Make) -> None:
    b = bench(text=RECOVERED)
    b.set_up()
    b.everyone(b.requests(), but=(4,))
    named = b.server.survivors()[0]
    assert isinstance(named, Survivors)
    few = replace(named, uploads=named.uploads[:3], sealed=named.sealed[: 2 * 64])
    assert refused(b.ask(few)) == "peer.too-few-survivors"


def test_a_smaller_cell_than_this_clinic_asks_for(bench: Make) -> None:
    """The release minimum is the study's; a clinic may ask for a larger one at any time."""
    b = bench()
    b.set_up()
    policy = b.keepers[0].clinic.path / "policy.toml"
    policy.write_text("min_cell_patients = 11\n")
    assert refused(b.ask(b.request())) == "policy.clinic-policy"
    policy.write_text("min_cell_patients = 10\n")
    assert isinstance(b.ask(b.request()), Upload)


@pytest.mark.parametrize(
    ("wanted", "version", "answers"),
    [
        ("", "0.1.0.dev3", True),
        ("0.1.0", "0.1.0", True),
        ("0.1", "0.1.0", True),
        (">=0.1.0", "0.1", True),
        (">=0.0.9", "0.1.0", True),
        (">=0.9", "0.10.1", True),
        ("0.0.9", "0.1.0", False),
        ("0.1.0.1", "0.1.0", False),
        (">=0.2", "0.1.9", False),
        (">=1", "0.9", False),
        ("0.1.0", "0.1.0.dev3", False),
        (">=0.1.0", "0.2.0+mine", False),
        (">=0.1.0", "", False),
    ],
)
def test_which_versions_a_study_names(wanted: str, version: str, answers: bool) -> None:
    assert code_version.accepts(wanted, version) is answers


def test_another_version_of_the_code_opens_no_run_and_answers_no_round(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_rules, "version", lambda _: VERSION)
    b = bench(text=STUDY.replace(NAMED, f'{NAMED}code = "{VERSION}"\n'))
    monkeypatch.setattr(study_rules, "version", lambda _: "0.2.0")
    assert refused(b.ask(b.opening)) == "policy.code-version"
    monkeypatch.setattr(study_rules, "version", lambda _: VERSION)
    b.set_up()
    monkeypatch.setattr(study_rules, "version", lambda _: "0.2.0")
    assert refused(b.ask(b.request())) == "policy.code-version"
