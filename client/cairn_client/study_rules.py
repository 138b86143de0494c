"""`StudyRules`: what stands in a study's way at this clinic: its policy.toml, and its own code.

The same rules serve a person who looks at a study, one who approves it, and every request for it.
A person is told which rule is broken. The server is told that one is, and no more: a clinic's
policy is its own business, and `max_epsilon_patient` would tell what other teams have spent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Final

from cairn_client.askable import Askable, askable, study_cap
from cairn_client.charged import charged_blocks
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.clinic_policy import FILE, ClinicPolicy, PolicyFile
from cairn_privacy.accounting import epsilon_of_rho, rho_for
from cairn_privacy.ledger import Ledger
from cairn_protocol import code_version
from cairn_protocol.errors import CairnError, PolicyRefusal
from cairn_protocol.study import Study

log = logging.getLogger("cairn.keeper")
CLINIC_POLICY: Final = "policy.clinic-policy"
HELD: Final = 8  # studies whose questions are kept built
SLACK: Final = 1e-6  # relative; a study that asks exactly what is allowed is allowed


class StudyRules:
    """The rules of one clinic.

    Args:
        clinic: its folder.
        ledger: the clinic's, if there is one yet.
    """

    def __init__(self, clinic: ClinicFolder, ledger: Callable[[], Ledger | None]) -> None:
        self.file = PolicyFile(clinic)
        self._config, self._ledger = clinic.config, ledger
        self._built: dict[bytes, dict[str, Askable]] = {}

    def check(self, study: Study) -> None:
        """Refuses a study that breaks this clinic's policy or wants another version of Cairn.

        Raises:
            PolicyRefusal: `policy.code-version`, `policy.clinic-policy`; with every broken rule,
                for the clinic's own people.
            InputError: policy.toml cannot be used.
        """
        self._check(study, self.file.policy())

    def _check(self, study: Study, policy: ClinicPolicy) -> None:
        here = version("cairn-federated")
        if not code_version.accepts(study.code, here):
            raise PolicyRefusal(
                f"the study wants Cairn {code_version.words(study.code)}, this clinic has {here}",
                code="code-version",
                hint="another version may compute another sum: install the one that it names",
            )
        if broken := [*self._broken(policy, study, here)]:
            raise PolicyRefusal(
                f"the study breaks this clinic's {FILE}",
                code=CLINIC_POLICY.partition(".")[2],
                why="; ".join(broken),
                hint=f"the research team may sign another study; or whoever answers for {FILE} "
                "changes it",
            )

    def check_request(self, study: Study) -> None:
        """The same at a request for an approved study, in words that may leave the clinic.

        Raises:
            PolicyRefusal: as `check`, without the rule; `policy.clinic-policy-unusable`.
        """
        policy = self.file.usable()
        try:
            self._check(study, policy)
        except PolicyRefusal as error:
            log.warning("refused: %s: %s", error.code, error.why)
            if error.code != CLINIC_POLICY:
                raise
            raise PolicyRefusal(
                "this clinic's own policy does not admit the study",
                code=CLINIC_POLICY.partition(".")[2],
                hint="its people see which rule with `cairn clinic show`, or in the file itself",
            ) from None

    def _broken(self, policy: ClinicPolicy, study: Study, here: str) -> Iterator[str]:
        if policy == ClinicPolicy():
            return  # and no question is built
        asked = self._asked(study)
        yield from _too_low(policy, study)
        yield from _not_allowed(policy, study, asked)
        if study.noised:
            yield from _too_dear(policy, study, asked)
            yield from self._over_all(policy, study, asked)
        rounds = sum(a.question.shape.rounds for a in asked.values()) + study.privacy.retries
        if policy.max_rounds is not None and rounds > policy.max_rounds:
            yield f"it may take {rounds} rounds, max_rounds is {policy.max_rounds}"
        if not code_version.accepts(policy.code, here):
            yield f"this clinic has Cairn {here}, code asks for {code_version.words(policy.code)}"

    def _asked(self, study: Study) -> dict[str, Askable]:
        if (known := self._built.get(study.digest)) is not None:
            return known
        while len(self._built) >= HELD:
            self._built.pop(next(iter(self._built)), None)
        try:
            asked = askable(study, study.policy.clinics)
        except CairnError:
            asked = {}  # it cannot be answered anyhow, and is not
        self._built[study.digest] = asked
        return asked

    def _over_all(
        self, policy: ClinicPolicy, study: Study, asked: dict[str, Askable]
    ) -> Iterator[str]:
        most = policy.max_epsilon_patient
        if most is None:
            return
        spent = left = 0.0
        if (ledger := self._ledger()) is not None:
            spent = ledger.spent(blocks=charged_blocks(study))
            left = ledger.spent(study.digest)
        rho = spent + max(study_cap(study, asked) - left, 0.0)
        if rho > rho_for(most, self._config.delta) * (1 + SLACK):
            epsilon = epsilon_of_rho(rho, self._config.delta)
            yield (
                f"with what was spent before, a patient's ε would come to {epsilon:.3g}, "
                f"max_epsilon_patient is {most:g}"
            )


def _too_low(policy: ClinicPolicy, study: Study) -> Iterator[str]:
    """Figures of a study that have a least value here."""
    theirs = study.policy
    figures = (
        ("min_clinics", "policy.clinics", theirs.clinics),
        ("min_survivors", "policy.survivors", theirs.survivors),
        ("min_threshold", "policy.threshold", theirs.threshold),
        ("min_colluding", "policy.colluding", theirs.colluding),
        ("min_cell_patients", "disclosure.patients", study.disclosure.patients),
        ("min_cell_clinics", "disclosure.clinics", study.disclosure.clinics),
    )
    for name, place, value in figures:
        least = getattr(policy, name)
        if least is not None and value < least:
            yield f"{place} is {value}, {name} is {least}"


def _not_allowed(policy: ClinicPolicy, study: Study, asked: dict[str, Askable]) -> Iterator[str]:
    if policy.questions is not None:
        kinds = dict.fromkeys(spec.kind for spec in study.questions)
        if others := [kind for kind in kinds if kind not in policy.questions]:
            yield f"it asks {', '.join(others)}, which questions does not name"
    trained = [a.question.name for a in asked.values() if a.question.category == "train"]
    if trained and not policy.training:
        yield f"it trains a model ({', '.join(trained)}), training is false"
    if policy.noise_required and not study.noised:
        yield "its answers would be exact, noise_required is true"
    if study.synthetic and not policy.synthetic:
        yield "it is about made-up patients, synthetic is false"


def _too_dear(policy: ClinicPolicy, study: Study, asked: dict[str, Askable]) -> Iterator[str]:
    delta, most = study.privacy.delta, policy.max_epsilon_study
    if policy.max_delta is not None and delta > policy.max_delta:
        yield f"its δ is {delta:g}, max_delta is {policy.max_delta:g}"
    if most is None:
        return
    epsilon = epsilon_of_rho(study_cap(study, asked), delta) if asked else 0.0
    if epsilon > most * (1 + SLACK):
        yield f"it may spend ε = {epsilon:.3g} on a patient, max_epsilon_study is {most:g}"
