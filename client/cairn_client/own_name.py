"""`own_name`: by which of a study's groups of clinics this clinic answers."""

from __future__ import annotations

from cairn_client.clinic_config import ClinicConfig
from cairn_protocol.clinic_run import ClinicRun
from cairn_protocol.errors import PolicyRefusal


def own_name(run: ClinicRun, config: ClinicConfig) -> str:
    """This clinic's name on the run's roster.

    Where the study has groups it must be the clinic's own: were other clinics put on the roster
    under the names of a group, that group would be fewer than it says.

    Raises:
        PolicyRefusal: `policy.roster-name`.
    """
    name = run.roster.entries[run.index].clinic
    if run.study.groups and name != config.name:
        raise PolicyRefusal(
            "the roster has this clinic under another name than its own",
            code="roster-name",
            why="the study asks groups of clinics by their names",
            hint="the research team signs a roster with the name in clinic.toml",
        )
    return name
