"""`Result`: what the empirical test found on a study, as a file that a release gate can read.

The file holds measurements of synthetic records and public terms only. It is evidence for the
configuration that its digests name and for no other; it is not signed, so whoever relies on it
makes it, or had it made, on a machine of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cairn_privacy.audit.configuration import Configuration
from cairn_privacy.audit.examine import FALSE_ALARM, Examination
from cairn_privacy.audit.membership import CONFIDENCE, Attack
from cairn_privacy.question_terms import QuestionTerms
from cairn_protocol.errors import InputError
from cairn_protocol.study import faults_in_words, read_bounded

LARGEST_FILE: Final = 4 * 1024 * 1024  # bytes


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class ChargeFound(_Part):
    """T0."""

    holds: bool
    charges: int
    before_records: bool
    epsilon: float


class PullFound(_Part):
    """T1: the furthest pull, in bounds, and how many were tried."""

    holds: bool
    blind: bool
    tried: int
    largest: float
    patient: str
    background: str
    state: str


class NoiseFound(_Part):
    """T2: one check's best p-value of `attempts`, and what was seen."""

    check: str
    holds: bool
    p: float
    seen: str


class AttackFound(_Part):
    """T3: what was claimed and what the attack shows at the stated confidence."""

    holds: bool
    mu: float
    epsilon: float
    mu_at_least: float
    epsilon_at_least: float
    epsilon_at_least_any_law: float
    trials: int
    hits: int
    false_alarms: int


class QuestionFound(_Part):
    """One question: its configuration, its claim, T0 to T3."""

    configuration: Configuration
    digest: str
    kind: str
    epsilon: float
    delta: float
    holds: bool
    charge: ChargeFound
    pull: PullFound
    noise: tuple[NoiseFound, ...]
    noise_attempts: int
    own: AttackFound
    turned_up: AttackFound
    attack_attempts: int
    cpu_seconds: float

    @classmethod
    def of(cls, found: Examination, terms: QuestionTerms, kind: str) -> QuestionFound:
        """What `found` says of the question with `terms`."""
        configuration, claim, worst = Configuration.of(terms), found.claim, found.worst
        return cls(
            configuration=configuration,
            digest=configuration.digest,
            kind=kind,
            epsilon=claim.epsilon,
            delta=claim.delta,
            holds=found.holds,
            charge=ChargeFound(
                holds=found.charge_holds,
                charges=len(found.charge.rhos),
                before_records=found.charge.before_records,
                epsilon=claim.charged_epsilon,
            ),
            pull=PullFound(
                holds=found.pull_holds,
                blind=found.blind,
                tried=len(found.pulls),
                largest=worst.share,
                patient=worst.patient,
                background=worst.background,
                state=worst.state,
            ),
            noise=tuple(
                NoiseFound(check=c.name, holds=c.passes, p=c.p, seen=c.seen) for c in found.checks
            ),
            noise_attempts=found.noise_attempts,
            own=_attack(found.own, claim.delta),
            turned_up=_attack(found.turned_up, claim.delta),
            attack_attempts=found.attack_attempts,
            cpu_seconds=round(found.cpu_seconds, 3),
        )


class Result(_Part):
    """All questions of a study."""

    cairn_privacy_test: Literal[1] = 1
    study: str
    synthetic_records_only: Literal[True] = True
    confidence: float = CONFIDENCE
    false_alarm_at_most: float = FALSE_ALARM
    holds: bool
    cpu_seconds: float
    versions: dict[str, str]
    questions: tuple[QuestionFound, ...]

    @classmethod
    def read(cls, path: Path) -> Result:
        """The result in the file at `path`.

        Raises:
            InputError: no such file, or it is not a result.
        """
        try:
            return cls.model_validate_json(read_bounded(path, LARGEST_FILE))
        except ValidationError as error:
            raise InputError(
                f"{path} is not a result of the empirical test",
                code="audit-result",
                why=faults_in_words(error),
                hint="make it with: cairn privacy test STUDY --out FILE",
            ) from None

    def covers(self, terms: QuestionTerms) -> bool:
        """Whether the question with `terms`, under the code that runs here, was tested and held."""
        wanted = Configuration.of(terms)
        return any(
            q.holds and q.configuration == wanted and q.digest == wanted.digest
            for q in self.questions
        )


def _attack(found: Attack, delta: float) -> AttackFound:
    return AttackFound(
        holds=found.within,
        mu=found.mu,
        epsilon=found.claimed_epsilon(delta),
        mu_at_least=found.mu_bound,
        epsilon_at_least=found.epsilon_bound(delta),
        epsilon_at_least_any_law=found.epsilon_of_any_law(delta),
        trials=found.trials,
        hits=found.hits,
        false_alarms=found.alarms,
    )
