"""Whether a clinic may take part in a study at all, before any key is made.  # SPEC 4.4"""

from __future__ import annotations

from typing import NoReturn

from cairn_protocol.codec import refuse
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.groups import strangers
from cairn_protocol.roster import Roster
from cairn_protocol.setup_messages import OpenRun
from cairn_protocol.study import Study


def check_opening(
    message: OpenRun,
    *,
    team_public: bytes,
    approved_digest: bytes,
    pinned_roster: bytes | None,
    data_are_public: bool,
) -> Roster:
    """The roster of a run that this clinic may take part in: rules R1 to R3.

    Args: as `ClinicRun.open` has them.

    Raises:
        PeerFault: forged, or not what was approved or pinned.
        PolicyRefusal: policy, roster or data do not admit it.
    """
    study = message.study.verified(team_public)  # R1
    if study.digest != approved_digest:
        raise PolicyRefusal(
            "this is not the study that the clinic approved",
            code="study-not-approved",
            hint="look at the new text with `cairn clinic show` and approve or refuse it",
        )
    roster = message.roster.verified(team_public)  # R2
    if roster.study != study.digest:
        refuse("roster-foreign", "the roster is of another study")
    if pinned_roster is not None and roster.digest != pinned_roster:
        refuse("roster-fork", "the roster is not the one that this clinic acknowledged")
    check_admission(study, roster, data_are_public=data_are_public)  # R3
    return roster


def check_admission(study: Study, roster: Roster, *, data_are_public: bool) -> None:
    """Refuses a study whose policy or roster could open fewer than two honest clinics' sum.

    Args:
        study: verified and approved by this clinic.
        roster: verified, of this study.
        data_are_public: what this clinic's own configuration says, not the study.

    Raises:
        PolicyRefusal: with a code for each rule.
    """
    policy = study.policy
    if (study.noised or policy.recovers) and len(roster) != policy.clinics:
        _refuse(
            "roster-size",
            f"the roster has {len(roster)} clinics, the study's policy {policy.clinics}",
        )
    if missing := strangers(study.groups, [entry.clinic for entry in roster.entries]):
        _refuse(
            "group-not-on-roster",
            f"the study's groups name clinics that do not take part: {', '.join(missing)}",
            why="a group would be smaller than it says",
        )
    if not study.noised:
        if not data_are_public:
            _refuse(
                "data-not-public",
                "the study calls the data public, this clinic's configuration does not",
                hint="answers to such a study carry no noise: only public data may go into it",
            )
        return
    if faults := policy.faults():
        _refuse(
            "policy-too-weak",
            "the study's policy does not protect this clinic's patients",
            why="; ".join(faults),
        )


def _refuse(code: str, what: str, *, why: str = "", hint: str = "") -> NoReturn:
    raise PolicyRefusal(what, code=code, why=why, hint=hint)
