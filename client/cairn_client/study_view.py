"""`study_view`: an offered study as a person at the clinic should see it before they decide.

Every figure is computed here, from the signed study and the code that would answer it: what the
server says of its own study is not asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from cairn_client.askable import Askable, askable, study_cap
from cairn_client.charged import charged_blocks
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.store_offers import Offered
from cairn_client.study_rules import StudyRules
from cairn_privacy.accounting import epsilon_of_rho
from cairn_privacy.statement import study_statement
from cairn_protocol.admission import check_admission
from cairn_protocol.errors import CairnError, PolicyRefusal
from cairn_protocol.identity import fingerprint
from cairn_protocol.proto import keeper_pb2 as pb
from cairn_protocol.roster import RosterEntry


def study_view(
    offered: Offered,
    clinic: ClinicFolder,
    identity: bytes,
    members: Mapping[bytes, str],
    rules: StudyRules | None = None,
) -> pb.StudyView:
    """The study with what leaves, what that costs, who takes part, and what stands in the way.

    Args:
        identity: this clinic's public key.
        members: verified public keys, with how they came to be, in words.
        rules: this clinic's own.
    """
    study, roster = offered.signed.study(), offered.roster.roster
    line = study_line(offered, {*members, identity})
    view = pb.StudyView(
        line=line,
        purpose=study.purpose,
        team=study.team,
        team_fingerprint=fingerprint(offered.signed.team),
        noised=study.noised,
        synthetic=study.synthetic,
        roster=[_member(entry, identity, members) for entry in roster.entries],
        roster_digest=roster.digest.hex(),
        roster_version=roster.version,
        colluding=study.policy.colluding,
        source=offered.signed.source.decode(),
    )
    try:
        asked = askable(study, len(roster))
    except CairnError as error:
        return _hindered(view, error)
    view.questions.extend(question_view(a) for a in asked.values())
    rho = study_cap(study, asked)  # retries included: the server decides whether to use them
    if study.noised:
        view.admits = charged_blocks(study).words()
        view.delta = study.privacy.delta
        view.epsilon = epsilon_of_rho(rho, view.delta)
        rounds = sum(a.question.shape.rounds for a in asked.values())
        releases = rounds + study.privacy.retries
        view.meaning.extend(study_statement(rho, view.delta, releases)[1:])
    try:
        check_admission(study, roster, data_are_public=clinic.config.data == "public")
        if rules is not None:
            rules.check(study)
        _check_verified(line)
    except CairnError as error:
        return _hindered(view, error)
    return view


def study_line(offered: Offered, verified: Collection[bytes]) -> pb.StudyLine:
    """A study in one line. `verified`: public keys that count as such, this clinic's included."""
    study, decision = offered.signed.study(), offered.decision
    entries = offered.roster.roster.entries
    unverified = [entry.clinic for entry in entries if entry.identity not in verified]
    return pb.StudyLine(
        digest=study.digest.hex(),
        name=study.name,
        title=study.title,
        state=offered.state,
        person=decision.person if decision else "",
        offered_at=seconds(offered.at),
        decided_at=seconds(decision.at) if decision else 0,
        members=len(entries),
        verified=len(entries) - len(unverified),
        needed=study.policy.verified_needed(study.policy.clinics) if study.noised else 0,
        unverified=unverified,
        approved_by=offered.approved_by,
        approvals=offered.decisions.needed,
    )


def seconds(at: str) -> int:
    """A time of the store's, since 1970; 0: never."""
    return int(datetime.fromisoformat(at).timestamp()) if at else 0


def _member(entry: RosterEntry, identity: bytes, members: Mapping[bytes, str]) -> pb.Member:
    return pb.Member(
        clinic=entry.clinic,
        fingerprint=fingerprint(entry.identity),
        ours=entry.identity == identity,
        verified=members.get(entry.identity, ""),
    )


def _check_verified(line: pb.StudyLine) -> None:
    if line.verified < line.needed:
        raise PolicyRefusal(
            f"{line.verified} of its {line.members} clinics are verified here, "
            f"{line.needed} are needed",
            code="too-few-verified",
            why="a research team could fill a roster with clinics of its own",
            hint=f"telephone {' or '.join(line.unverified[:3])} at a number that you know, and "
            "ask for the fingerprint; then: cairn clinic verify NAME FINGERPRINT; or take a "
            "registry's list: cairn clinic verify --list FILE",
        )


def _hindered(view: pb.StudyView, error: CairnError) -> pb.StudyView:
    view.obstacle, view.remedy = str(error), error.hint
    return view


def question_view(asked: Askable) -> pb.QuestionView:
    """What leaves for one question, in figures."""
    question, noise = asked.question, asked.terms.noise
    told = question.contribution
    view = pb.QuestionView(
        name=question.name,
        kind=question.spec.kind,
        epsilon=question.spec.epsilon or 0.0,
        rounds=question.shape.rounds,
        values=question.shape.length,
        bound=question.shape.bound or 0.0,
        sum_noise_sd=asked.terms.sum_sd,
        asked=told.asked,
        who=told.who,
        how=told.how,
    )
    if noise is not None:
        view.noise_sd = noise.clinic_sigma_steps * asked.terms.scale.step
    return view
