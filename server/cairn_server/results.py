"""`StudyResults`: all that a finished study gives the research team, and nothing about one clinic.

Participants are named without their sizes: the number of patients at a clinic is secret.
`cairn_server.report` writes these to files; `read` reads them back, and `estimates`, `tables` and
`figures_data` give them as data frames (docs/notebook.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cairn_models.answers import Answer
from cairn_protocol.errors import OurFault
from cairn_protocol.study import Study
from cairn_server.journal import Incident

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class QuestionSpend:
    """What one question cost every patient who was in it.

    Args:
        name: the question's name in the study.
        epsilon: ε at `delta`; None for public data, which are not charged.
        delta: δ of that ε.
        rho: the same in zero-concentrated DP, the ledger's unit.
        rounds: attempts at its sums, opened or not: each may have been charged at a clinic.
        sigma: noise multiplier σ of one round: a sum's standard deviation is at least σC.
        noise: the law and who adds it, in words, e.g. "discrete Gaussian, shared by the clinics".
    """

    name: str
    epsilon: float | None
    delta: float | None
    rho: float | None
    rounds: int
    sigma: float | None
    noise: str


@dataclass(frozen=True)
class TotalSpend:
    """All questions together: ε composed over them (less than their sum), and ρ (their sum)."""

    epsilon: float | None
    delta: float | None
    rho: float | None


@dataclass(frozen=True)
class Spend:
    """What the study cost, question by question and in all."""

    questions: tuple[QuestionSpend, ...]
    total: TotalSpend


@dataclass(frozen=True)
class Participant:
    """A clinic that took part: its name on the roster and its identity key's fingerprint."""

    clinic: str
    fingerprint: str


@dataclass(frozen=True)
class LedgerHead:
    """Where a clinic's ledger stood when it was last charged for this study.

    `epoch` is the keeper's boot, `head` the ledger's head (hex), `mark` the clinic's signed word on
    both (`cairn_protocol.mark.Mark.body`, hex).
    """

    clinic: str
    epoch: int
    head: str
    mark: str


@dataclass(frozen=True)
class Absence:
    """A clinic that is not in some of a question's sums; `rounds` count from 1."""

    clinic: str
    rounds: tuple[int, ...]


@dataclass(frozen=True)
class QuestionSums:
    """Whose vectors a question's opened sums hold.

    Args:
        name: the question's name in the study.
        rounds: sums that were opened.
        clinics: clinics on the roster.
        fewest: clinics in the smallest of these sums.
        last: clinics in the last sum, from which the answer's noise is known.
        absent: who is missing from which.
        known_run: the earlier run (hex) whose sum answers an equal question, charging nothing;
            empty where the sums were asked in this run.
        known_since: the day on which that run began, ISO 8601.
    """

    name: str
    rounds: int
    clinics: int
    fewest: int
    last: int
    absent: tuple[Absence, ...] = ()
    known_run: str = ""
    known_since: str = ""


@dataclass(frozen=True)
class RunFacts:
    """How the run went. `run_id` hex · `started` ISO 8601 · `seconds` · `messages` · `bytes_moved`.

    `engine` is the way messages travelled (embedded, coordinator, stock Flower); `code_version`
    the version of Cairn that the server ran.
    """

    run_id: str
    started: str
    seconds: float
    messages: int
    bytes_moved: int
    engine: str
    code_version: str


@dataclass(frozen=True)
class Unblinding:
    """Who learned which arm is which, when (ISO 8601), and why; `arms`: the name by its letter."""

    by: str
    reason: str
    at: str
    arms: Mapping[str, str]


@dataclass(frozen=True)
class Blinding:
    """The letters that stand for arms in the answers.

    `commitment` is the SHA-256 (hex) of the sealed file, fixed when the run ended. `unblinded`: who
    opened it; None while the letters stand.
    """

    letters: tuple[str, ...]
    commitment: str
    unblinded: Unblinding | None = None


@dataclass(frozen=True)
class StudyResults:
    """A finished study.

    Args:
        study: as signed; `source` holds the file's bytes.
        answers: one a question, in the study's order.
        spend: what was charged.
        statement: what that means in plain words, one paragraph each.
        participants: who took part, never how many patients they have.
        run: how it was run.
        oracle: a comparison with the truth or the pooled records, which only synthetic data allow.
        stopped: why the run ended before its last question; empty if it did not.
        synthetic: the records were made up (a study that says so itself is always synthetic).
        sums: who is in the sums of each question that opened one, in the study's order.
        incidents: clinics that left the run or gave wrong shares.
        heads: the clinics' ledgers, as their last uploads showed them.
        blinding: that the answers' arms bear letters, or did; None where they never did.
        sealed: the same under the arms' names, as the file that `cairn_server.sealing` opens. Only
            where a blinded run has just ended; it is in no file of the results.

    Raises:
        OurFault: an oracle without synthetic data, or a study without its file.
    """

    study: Study
    answers: tuple[Answer, ...]
    spend: Spend
    statement: tuple[str, ...]
    participants: tuple[Participant, ...]
    run: RunFacts
    oracle: Answer | None = None
    synthetic: bool = field(default=False)
    stopped: str = ""
    sums: tuple[QuestionSums, ...] = ()
    incidents: tuple[Incident, ...] = ()
    heads: tuple[LedgerHead, ...] = ()
    blinding: Blinding | None = None
    sealed: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if self.oracle is not None and not self.is_synthetic:
            raise OurFault(
                "an oracle section was given for records that are not synthetic",
                code="oracle-of-real-records",
            )
        if not self.study.source:
            raise OurFault("the study was not read from a file", code="study-without-source")

    @property
    def is_blinded(self) -> bool:
        """Whether the answers' arms bear letters."""
        return self.blinding is not None and self.blinding.unblinded is None

    @property
    def is_synthetic(self) -> bool:
        """Whether every page and file must say 'synthetic'."""
        return self.synthetic or self.study.synthetic

    def estimates(self) -> DataFrame:
        """Every number with its interval, one row each; columns as `frames.ESTIMATES` has them."""
        from cairn_server.frames import estimates  # noqa: PLC0415  pandas is slow to import

        return estimates(self)

    def tables(self) -> dict[tuple[str, str], DataFrame]:
        """The answers' tables by (question, title); a table's note is in its `attrs["note"]`."""
        from cairn_server.frames import tables  # noqa: PLC0415

        return tables(self)

    def figures_data(self) -> DataFrame:
        """Every point of every figure, one row each; columns as `frames.FIGURES` has them."""
        from cairn_server.frames import figures_data  # noqa: PLC0415

        return figures_data(self)


def read(path: Path | str) -> StudyResults:
    """The results in a folder that a run or a release wrote, or in its `results.json`.

    Arrays that questions released, such as a model's parameters, stay in their files.

    Raises:
        InputError: no results there, another version's, or damaged.
    """
    from cairn_server.report.results import load_results  # noqa: PLC0415  it imports this module

    return load_results(Path(path))
