"""`Template`: a complete study in researchers' words, filled in for so many clinics and patients.

The text of a template lies in `templates/`, every setting with its comment; its first line says
what it asks. What is filled in: the entry window, the planned patients, a policy that is safe for
so many clinics, and ε for each question.
"""

from __future__ import annotations

import math
import string
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from typing import Final

from cairn_app.study_source import with_epsilons
from cairn_models.synthetic import World
from cairn_privacy.accounting import epsilon_of_rho, rho_for
from cairn_protocol.errors import InputError
from cairn_protocol.policy import Policy
from cairn_protocol.study import Study
from cairn_server.planning import LARGEST_EPSILON, split_budget
from cairn_server.safe_policy import safe_policy

SMALLEST_EPSILON: Final = 0.5  # in all: below it a question's share rounds to nothing
TRAINING_SHARE: Final = 0.25  # of ρ, to train a model: about half of ε, as ρ grows with its square
FOLLOWED: Final = timedelta(weeks=16)  # the longest question's 12, and time to write them down
QUARTERS: Final = 8  # in the window of entry
MOST_PATIENTS: Final = 10_000_000


@dataclass(frozen=True)
class Window:
    """The days of entry that a study admits, both included."""

    first: date
    last: date

    @classmethod
    def before(cls, today: date) -> Window:
        """The last eight whole quarters whose people have been followed long enough by `today`."""
        day = today - FOLLOWED + timedelta(days=1)
        end = day.year * 4 + (day.month - 1) // 3  # the first quarter that is left out
        return cls(_first_of(end - QUARTERS), _first_of(end) - timedelta(days=1))

    @classmethod
    def synthetic(cls) -> Window:
        """That in which synthetic patients enter."""
        world = World()
        return cls(
            world.first_entry.replace(day=1),
            world.first_entry + timedelta(days=world.entry_days - 1),
        )


@dataclass(frozen=True)
class Template:
    """One of the templates by its name. Build it with `Template.named`."""

    name: str
    text: str

    @classmethod
    def all(cls) -> tuple[Template, ...]:
        """Every template, by name."""
        folder = files("cairn_app") / "templates"
        found = [f for f in folder.iterdir() if f.name.endswith(".toml")]
        return tuple(
            cls(f.name.removesuffix(".toml"), f.read_text(encoding="utf-8"))
            for f in sorted(found, key=lambda f: f.name)
        )

    @classmethod
    def named(cls, name: str) -> Template:
        """The template called `name`.

        Raises:
            InputError: there is none.
        """
        every = {template.name: template for template in cls.all()}
        if name not in every:
            raise InputError(
                f"no template is called {name!r}",
                code="template-unknown",
                why=f"known: {', '.join(every)}",
                hint="cairn study new --template list says what each asks",
            )
        return every[name]

    @property
    def asks(self) -> str:
        """In one line, what its study asks."""
        return self.text.splitlines()[0].removeprefix("#").strip()

    def fill(
        self, *, clinics: int, patients: int, epsilon: float, window: Window, synthetic: bool
    ) -> bytes:
        """The study's TOML, `epsilon` in all split so that noise widens every primary result alike.

        Raises:
            InputError: a number for which no study can be written.
        """
        _check(patients, epsilon)
        policy = safe_policy(clinics)
        values = {  # padded where a comment follows, so that comments stand below each other
            "synthetic": str(synthetic).lower().ljust(16),
            "entry_from": window.first.isoformat(),
            "entry_until": window.last.isoformat(),
            "patients": str(patients),
            "clinics": str(policy.clinics).ljust(18),
            "survivors": str(policy.survivors).ljust(16),
            "threshold": str(policy.threshold).ljust(16),
            "colluding": str(policy.colluding).ljust(16),
            "dropout": f'"{policy.dropout}"'.ljust(18),
            "dropout_words": _dropout_in_words(policy),
            "total": f"{epsilon:g}",
            "course_epsilon": f"{_training_epsilon(epsilon):g}".ljust(18),
        }
        source = string.Template(self.text).substitute(values).encode("utf-8")
        shares = split_budget(Study.parse(source, where=self.name), epsilon)
        return with_epsilons(source, shares, where=self.name)


def _check(patients: int, epsilon: float) -> None:
    if not 1 <= patients <= MOST_PATIENTS:
        raise InputError(
            f"a study cannot be planned for {patients} patients",
            code="template-patients",
            hint="--patients is how many all clinics together are expected to hold",
        )
    if not SMALLEST_EPSILON <= epsilon <= LARGEST_EPSILON:
        raise InputError(
            f"ε = {epsilon:g} cannot be split over this study's questions",
            code="template-epsilon",
            hint=f"--epsilon from {SMALLEST_EPSILON:g} to {LARGEST_EPSILON:g}; 3 is usual",
        )


def _training_epsilon(total: float) -> float:
    """ε for a question whose precision cannot be foretold; δ is the templates'."""
    rho = TRAINING_SHARE * rho_for(total, 1e-6)
    return math.floor(100 * epsilon_of_rho(rho, 1e-6)) / 100


def _dropout_in_words(policy: Policy) -> str:
    if not policy.recovers:
        return "all must answer in every round; of so few, no smaller sum is safe"
    away = policy.clinics - policy.survivors
    return f"{'one' if away == 1 else away} may be away in any round, and come back in the next"


def _first_of(quarter: int) -> date:
    """The first day of a quarter, counted from year 0."""
    return date(quarter // 4, 3 * (quarter % 4) + 1, 1)
