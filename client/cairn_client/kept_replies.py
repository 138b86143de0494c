"""`check_kept`: what still has to hold before a kept reply leaves, of a run whose keys are gone.

With the keys went who takes part and who of them is verified. Both are looked up anew: who takes
part stands in the request, which is the very one that was answered, and who that is on the roster
that was offered last, if it is the run's own.
"""

from __future__ import annotations

from cairn_client.active_runs import run_unknown
from cairn_client.keeper_state import Approval, KeeperState, Place
from cairn_protocol.errors import PolicyRefusal
from cairn_protocol.messages import Certificate, RoundRequest, Survivors
from cairn_protocol.progress import NOTHING
from cairn_protocol.record import Message
from cairn_protocol.survivors import SurvivorRules, check_verified


def check_roster(approval: Approval, roster: bytes) -> None:
    """Refuses a run under another roster (a digest) than the one that was approved.

    Raises:
        PolicyRefusal: `policy.roster-changed`.
    """
    if approval.roster not in (None, roster):
        raise PolicyRefusal(
            "this clinic has acknowledged another roster since the run was opened",
            code="roster-changed",
            hint="a new run, under the new roster, can ask what is left",
        )


def check_kept(state: KeeperState, approval: Approval, place: Place, message: Message) -> None:
    """Refuses to send again what was kept at `place` as the reply to `message`.

    Raises:
        PolicyRefusal: another roster was approved, or too few are verified now.
        PeerFault: `peer.run-unknown`, where this cannot be told; the server then opens new keys.
    """
    if place.roster == NOTHING:
        raise run_unknown()
    check_roster(approval, place.roster)
    study, roster = approval.study.study(), state.roster(place.study)
    verified = state.verified(roster)
    if verified is None or not study.noised:
        return
    if roster is None or roster.digest != place.roster:
        raise run_unknown()
    named = message.survivors if isinstance(message, Certificate) else message
    if isinstance(named, Survivors):
        clinics, needed = named.survivors, study.policy.honest
    elif isinstance(named, RoundRequest):
        clinics = named.header.participants
        needed = study.policy.verified_needed(len(clinics))
    else:  # keys, which are good for nothing without those that are gone
        return
    rules = SurvivorRules(
        participants=clinics,
        own=place.clinic,
        least=study.policy.survivors,
        threshold=study.policy.threshold,
        verified_least=needed,
        verified=roster.indices_of(verified),
    )
    check_verified(rules, clinics, needed)
