"""`EmbeddedStudy`: a study over clinics' folders in this process, by the same code as elsewhere.

Every clinic gets its own keeper, identity and ledger in its own folder; the keepers and the server
speak through Flower's Grid only. Whoever runs this can read every folder anyway: it is for
rehearsal, teaching, synthetic and public data.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from cairn_app.embedded import FIRST_NODE, run_embedded
from cairn_app.oracle import Members
from cairn_app.usage import one_torch_thread
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Keeper
from cairn_client.link import client_app
from cairn_client.readers import Import
from cairn_models.answers import Answer
from cairn_protocol.errors import InputError, OurFault, StudyStopped
from cairn_protocol.groups import check_named
from cairn_protocol.identity import Identity
from cairn_protocol.roster import Roster, SignedRoster
from cairn_protocol.signed_study import SignedStudy
from cairn_protocol.study import Study
from cairn_server.assemble import results_of
from cairn_server.coordinator import server_app
from cairn_server.events import Watch, ignore
from cairn_server.results import StudyResults
from cairn_server.study_run import StudyRun

Oracle = Callable[[Sequence[Answer], Members], Answer]
"""From the answers, and the clinics in each question's last sum, the comparison with the truth."""


class EmbeddedStudy:
    """A study and its clinics. `read` shows what is wrong in the files; `run` asks the questions.

    Raises:
        InputError: the study or a clinic's folder cannot be used, or their number does not fit.
        PolicyRefusal: the study's policy cannot protect patients.
    """

    def __init__(
        self, study: Study, clinics: Sequence[ClinicFolder], *, watch: Watch = ignore
    ) -> None:
        fixed = study.noised or study.policy.recovers
        if fixed and len(clinics) != study.policy.clinics:
            raise InputError(
                f"the study is planned for {study.policy.clinics} clinics, the folder has "
                f"{len(clinics)}",
                code="clinic-count",
                hint="set policy.clinics (with survivors and threshold) in the study, "
                "or give the right folder",
            )
        self.study = study
        self._imports: dict[str, Import] = {}
        team = Identity.generate()
        signed = SignedStudy.sign(study, team)
        self.keepers = [Keeper(clinic) for clinic in clinics]
        check_named(study.groups, [k.clinic.config.name for k in self.keepers])
        keys = {k.clinic.config.name: k.identity.public for k in self.keepers}
        roster = SignedRoster.sign(Roster.first(signed, keys), team)
        by_name = {keeper.clinic.config.name: keeper for keeper in self.keepers}
        self._by_node = {
            FIRST_NODE + index: by_name[entry.clinic]
            for index, entry in enumerate(roster.roster.entries)
        }
        for keeper in self.keepers:
            keeper.approve(signed)
        self.server = StudyRun(signed, roster, sorted(self._by_node), watch=watch)

    def read(self) -> dict[str, Import]:
        """Every clinic's records with what was found wrong in them, by the clinic's name."""
        self._imports = {k.clinic.config.name: k.read_records(self.study) for k in self.keepers}
        return self._imports

    def run(self, oracle: Oracle | None = None) -> StudyResults:
        """The study's results; where it had to stop, those until then with the reason.

        Args:
            oracle: makes the comparison with the truth that only synthetic data allow.

        Raises:
            StudyStopped: it stopped before its first answer.
        """
        imports = self._imports or self.read()
        if oracle is not None and not all(read.synthetic for read in imports.values()):
            raise OurFault("an oracle is for synthetic records only", code="oracle-of-real-records")
        started, clock = datetime.now(UTC), time.perf_counter()
        server = server_app(self.server)
        clients = {node: client_app(keeper.forward) for node, keeper in self._by_node.items()}
        workers = min(len(clients), os.cpu_count() or 1)
        try:
            with one_torch_thread():
                run_embedded(server, clients, workers=workers)
        except StudyStopped:
            if not self.server.answers:
                raise
        finally:
            for keeper in self.keepers:
                keeper.close()
        return results_of(
            self.server,
            started=started,
            seconds=time.perf_counter() - clock,
            engine="embedded: every clinic in one process, through Flower's Grid",
            oracle=oracle(self.server.named, self.members()) if oracle else None,
        )

    def members(self) -> Members:
        """The clinics in the last sum of each question that opened one, by name."""
        names = [entry.clinic for entry in self.server.clinics]
        return {
            question.name: frozenset(names[i] for i in sums[-1])
            for question in self.server.questions
            if (sums := self.server.clinics_in(question.name))
        }
