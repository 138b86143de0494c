"""The privacy statement in plain language, from what was actually spent.

Two readers: the clinic that answers for its patients, and a patient or a relative. Both get odds
and guesses, for someone who knows everything else; neither gets a bare ε, nor the claim that
nothing at all can be learnt.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

from cairn_privacy.accounting import RHO_UNIT, Meaning, tell_rho
from cairn_privacy.chain import Account, damaged
from cairn_privacy.ledger import Ledger

CLINICS: Final = (1, 2)  # at how many clinics a patient was treated: ρ grows with the square
_PLENTY: Final = 1000.0


@dataclass(frozen=True)
class Spend:
    """What a clinic has spent and may spend: the facts of a statement."""

    clinic: str
    rho: float
    cap_rho: float
    delta: float
    releases: int
    studies: int
    synthetic: bool = False

    @classmethod
    def of(cls, ledger: Ledger, *, synthetic: bool = False) -> Self:
        """The spend that `ledger` holds now, for the patients who were charged most."""
        cap = ledger.spent() + ledger.left()
        return cls.told_by(ledger.account, cap_rho=cap, synthetic=synthetic)

    @classmethod
    def told_by(
        cls, account: Account, *, cap_rho: float | None = None, synthetic: bool = False
    ) -> Self:
        """The spend that a verified chain tells; `cap_rho`: the cap where it was lowered since."""
        if account.terms is None:
            raise damaged("it has no first entry")
        entries = account.entries.values()
        rho, cap = account.spent * RHO_UNIT, account.cap * RHO_UNIT
        return cls(
            clinic=account.terms.clinic,
            rho=rho,
            cap_rho=max(rho, cap if cap_rho is None else min(cap, cap_rho)),
            delta=account.terms.delta,
            releases=len(entries),
            studies=len({entry.study for entry in entries}),
            synthetic=synthetic,
        )

    def meaning(self, clinics: int = 1, *, at_cap: bool = False) -> Meaning:
        """What the spend, or the whole cap, allows about a patient of `clinics` such clinics.

        The same person's vectors add up at every clinic, so μ is multiplied by the number of
        clinics and ρ by its square.
        """
        return tell_rho((self.cap_rho if at_cap else self.rho) * clinics**2, self.delta)


def clinic_statement(spend: Spend) -> str:
    """The statement for the clinic: what was answered, what it allows now and at the cap."""
    one, two = (spend.meaning(k) for k in CLINICS)
    cap_one, cap_two = (spend.meaning(k, at_cap=True) for k in CLINICS)
    used = math.ceil(100 * spend.rho / spend.cap_rho)
    return "\n\n".join(
        (
            f"Privacy statement of {spend.clinic}{_synthetic(spend)}",
            f"Released: {_count(spend.releases, 'noised answer')} in "
            f"{_count(spend.studies, 'study', 'studies')}. {used} % of the clinic's privacy cap "
            "is used. An answer that was prepared counts even if it never arrived.",
            "Each answer is a sum over patients with random noise added before it left the clinic. "
            "The figures below hold for each patient, all rows together, against anyone who sees "
            "every result, knows every other patient's records, and works with the server and "
            "with as many of the clinics as the studies' policies assume.",
            f"So far. {_guess(one, 'the patient')} {_odds(one, 'the patient')} For someone "
            f"treated at two clinics that have spent as much: {_figures(two)}.",
            f"At the cap, when this clinic stops answering: {_figures(cap_one)}; for someone "
            f"treated at two such clinics, {_figures(cap_two)}.",
            "This limits what can be learnt because a patient is in the data. It does not limit "
            "what a result says about patients in general, and it does not cover what a clinic "
            "shares in other ways.",
        )
    )


def patient_statement(spend: Spend) -> str:
    """The statement for a patient or a relative: what the results could give away about you."""
    one, two = (spend.meaning(k) for k in CLINICS)
    cap, cap_two = (spend.meaning(k, at_cap=True) for k in CLINICS)
    return "\n\n".join(
        (
            f"What research with {spend.clinic} could give away about you{_synthetic(spend)}",
            "Your records stay at the clinic. What leaves it are totals over many patients, "
            "each changed by a random amount, so that what one person adds to it is blurred.",
            "Imagine someone who already knows everything about every other patient, runs the "
            "computer that collects the totals, sees every result, and wants to find out whether "
            "you are among the patients.",
            f"{_guess(one, 'you')} {_odds(one, 'you')}"
            if spend.releases
            else "So far nothing has left the clinic, so nothing could be learnt from it.",
            "The clinic keeps a record of everything that it prepared to send, and stops at a "
            f"limit that it set beforehand. At that limit they would be right {_share(cap)} times "
            "out of 100.",
            "If you were also treated at a second clinic that takes part in the same way, more "
            f"could be learnt: they would be right {_share(two)} times out of 100 so far, and "
            f"{_share(cap_two)} times at the limit.",
            "The results can still show something that is true of many people, such as that a "
            "programme helps. They would show it whether or not you took part.",
            "You can ask the clinic to leave your records out from now on; what was already sent "
            "cannot be called back.",
        )
    )


def study_statement(rho: float, delta: float, releases: int) -> tuple[str, ...]:
    """What one study's results allow about any patient in it, a paragraph each, for its report."""
    one, two = (tell_rho(rho * k**2, delta) for k in CLINICS)
    return (
        f"Every number on this page comes from {_count(releases, 'sum', 'sums')} over all clinics' "
        "patients, to which the clinics had added random noise. No clinic's own sum was seen by "
        "anyone.",
        "Imagine someone who knows every other patient's records, runs the server, works with as "
        "many clinics as the study's policy assumes, and sees every result. "
        f"{_guess(one, 'the patient')} {_odds(one, 'the patient')}",
        f"For a person treated at two of the clinics: {_figures(two)}.",
        "This limits what can be learnt because a patient is in the data. It does not limit what "
        "the results say about patients in general.",
    )


def _synthetic(spend: Spend) -> str:
    return " (synthetic patients, not real people)" if spend.synthetic else ""


def _guess(meaning: Meaning, whom: str) -> str:
    be = "are" if whom == "you" else "is"
    return (
        f"Asked whether {whom} {be} in the data at all, they would be right "
        f"{_share(meaning)} times out of 100. Tossing a coin would be right 50 times."
    )


def _odds(meaning: Meaning, whom: str) -> str:
    whose = "your" if whom == "you" else "the patient's"
    return (
        f"Whatever they believed before about {whom}, {whose} records can make that belief "
        f"{_factor(meaning)} times as likely, against the alternative, as it was"
        f"{_except(meaning)}."
    )


def _figures(meaning: Meaning) -> str:
    return f"{_share(meaning)} right guesses out of 100, and odds {_factor(meaning)} times as high"


def _share(meaning: Meaning) -> str:
    share = min(math.ceil(100 * meaning.guess - 1e-9), 100)
    return "50" if share == 50 else f"at most {share}"


def _factor(meaning: Meaning) -> str:
    if meaning.odds > _PLENTY:
        return f"more than {_PLENTY:,.0f}"
    return f"at most {math.ceil(10 * meaning.odds - 1e-9) / 10:g}"


def _except(meaning: Meaning) -> str:
    return f" (in all but 1 of {round(1 / meaning.fails):,} cases)" if meaning.fails else ""


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
