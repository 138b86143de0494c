"""Whether a clinic may take part in a study at all, before any key is made.  # SPEC 4.3"""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.roster import Roster
from cairn_protocol.study import Study


def check_admission(
    study: Study,
    roster: Roster,
    *,
    data_are_public: bool,
    verified: Collection[bytes] | None,
) -> None:
    """Refuses a study whose policy or roster could open fewer than two honest clinics' sum.

    Args:
        study: verified and approved by this clinic.
        roster: verified, of this study.
        data_are_public: what this clinic's own configuration says, not the study.
        verified: public keys that this clinic's operator compared out of band, its own
            included; None where that is not counted.

    Raises:
        PolicyRefusal: with a code for each rule.
    """
    policy = study.policy
    if policy.dropout != "forbidden":
        _refuse(
            "dropout-unsupported",
            "this version cannot recover from a clinic that drops out",
            hint='the study needs dropout = "forbidden" and survivors = clinics',
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
    if len(roster) != policy.clinics:
        _refuse(
            "roster-size",
            f"the roster has {len(roster)} clinics, the study's policy {policy.clinics}",
        )
    if verified is not None:
        known = sum(entry.identity in verified for entry in roster.entries)
        if known < policy.honest:
            _refuse(
                "too-few-verified",
                f"{known} clinics on the roster are verified here, the study needs {policy.honest}",
                hint="compare fingerprints with the other clinics, by telephone",
            )


def _refuse(code: str, what: str, *, why: str = "", hint: str = "") -> NoReturn:
    raise PolicyRefusal(what, code=code, why=why, hint=hint)
