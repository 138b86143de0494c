"""docs/clinic-data.md names every setting of clinic.toml, with the default that the code has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from cairn_app.clinic_commands import CLINIC_TOML
from cairn_client.clinic_config import ClinicConfig

PAGE = Path(__file__).parents[2] / "docs" / "clinic-data.md"


def test_every_setting_is_documented_with_its_default() -> None:
    section = PAGE.read_text().split("## clinic.toml", 1)[1]
    shown = dict(re.findall(r"^\| `([a-z_]+)` \| (.+?) \|", section, flags=re.MULTILINE))
    assert set(shown) == set(ClinicConfig.model_fields)
    for name, field in ClinicConfig.model_fields.items():
        if field.is_required():
            assert shown[name] == "required"
        elif isinstance(field.default, str):
            assert shown[name] == f'`"{field.default}"`'
        else:
            assert float(shown[name].strip("`")) == field.default


def test_the_file_that_init_writes_is_valid_and_so_is_all_that_it_suggests() -> None:
    text = CLINIC_TOML.format(name='"oak"', data='"patients"')
    ClinicConfig.model_validate(tomllib.loads(text))
    suggested = re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE)
    config = ClinicConfig.model_validate(tomllib.loads(suggested))
    assert (config.keeper_user, config.link_user) == ("cairn-keeper", "cairn-link")
    assert config.cap_epsilon == ClinicConfig.model_fields["cap_epsilon"].default
