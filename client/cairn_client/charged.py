"""To which patients a study is charged, and the account under which the ledger keeps it."""

from __future__ import annotations

from cairn_privacy.accounting import units_within
from cairn_privacy.blocks import Blocks
from cairn_privacy.links import StudyAccount
from cairn_protocol.study import Study


def charged_blocks(study: Study) -> Blocks:
    """The blocks to which the study is charged: those that its window touches."""
    return Blocks.of_window(study.cohort.entry_from, study.cohort.entry_until)


def study_account(study: Study, cap_rho: float, team: bytes) -> StudyAccount:
    """The study as the ledger keeps it: who asks (a public key), of whom, and at most what."""
    return StudyAccount(
        study=study.digest.hex(),
        name=study.name,
        title=study.title,
        team=team.hex(),
        blocks=charged_blocks(study),
        cap_units=units_within(cap_rho),
    )
