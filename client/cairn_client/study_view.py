"""`study_view`: an offered study as a person at the clinic should see it before they decide.

Every figure is computed here, from the signed study and the code that would answer it: what the
server says of its own study is not asked.
"""

from __future__ import annotations

from cairn_client.clinic_folder import ClinicFolder
from cairn_client.keeper import Askable, askable, study_cap
from cairn_client.keeper_store import Offered
from cairn_privacy.accounting import epsilon_of_rho
from cairn_privacy.statement import study_statement
from cairn_protocol.admission import check_admission
from cairn_protocol.errors import CairnError
from cairn_protocol.identity import fingerprint
from cairn_protocol.proto import keeper_pb2 as pb


def study_view(offered: Offered, clinic: ClinicFolder, identity: bytes) -> pb.StudyView:
    """The study with what leaves, what that costs, who takes part, and what stands in the way."""
    study, roster = offered.signed.study(), offered.roster.roster
    view = pb.StudyView(
        purpose=study.purpose,
        team=study.team,
        team_fingerprint=fingerprint(offered.signed.team),
        noised=study.noised,
        synthetic=study.synthetic,
        roster=[
            pb.Member(
                clinic=entry.clinic,
                fingerprint=fingerprint(entry.identity),
                ours=entry.identity == identity,
            )
            for entry in roster.entries
        ],
        roster_digest=roster.digest.hex(),
        roster_version=roster.version,
        colluding=study.policy.colluding,
        source=offered.signed.source.decode(),
    )
    try:
        asked = askable(study, len(roster))
        public = clinic.config.data == "public"
        check_admission(study, roster, data_are_public=public, verified=None)
    except CairnError as error:
        view.obstacle = str(error)
        return view
    view.questions.extend(_question(a) for a in asked.values())
    rho = study_cap(study, asked)  # retries included: the server decides whether to use them
    if study.noised:
        view.delta = study.privacy.delta
        view.epsilon = epsilon_of_rho(rho, view.delta)
        rounds = sum(a.question.shape.rounds for a in asked.values())
        releases = rounds + study.privacy.retries
        view.meaning.extend(study_statement(rho, view.delta, releases)[1:])
    return view


def _question(asked: Askable) -> pb.QuestionView:
    question, noise = asked.question, asked.terms.noise
    view = pb.QuestionView(
        name=question.name,
        kind=question.spec.kind,
        epsilon=question.spec.epsilon or 0.0,
        rounds=question.shape.rounds,
        values=question.shape.length,
        bound=question.shape.bound or 0.0,
        sum_noise_sd=asked.terms.sum_sd,
    )
    if noise is not None:
        view.noise_sd = noise.clinic_sigma_steps * asked.terms.scale.step
    return view
