"""The docs name every setting of clinic.toml and policy.toml, with the default of the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from cairn_app.clinic_commands import CLINIC_TOML
from cairn_app.reviewer_commands import reviewer_app
from cairn_client.clinic_config import ClinicConfig
from cairn_client.clinic_policy import ClinicPolicy

PAGE = Path(__file__).parents[2] / "docs" / "clinic-data.md"
POLICY = PAGE.with_name("clinic-policy.md").read_text()


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


def test_every_setting_of_a_policy_is_documented_with_its_default() -> None:
    section = POLICY.split("## policy.toml", 1)[1]
    shown = dict(re.findall(r"^\| `([a-z_]+)` \| (.+?) \|", section, flags=re.MULTILINE))
    assert set(shown) == set(ClinicPolicy.model_fields)
    for name, field in ClinicPolicy.model_fields.items():
        words = {None: "none", "": "empty"}
        if field.default in words:
            assert shown[name] == words[field.default], name
        else:
            assert shown[name] == f"`{str(field.default).lower()}`", name


def test_the_policy_in_the_docs_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", POLICY, flags=re.DOTALL)
    assert ClinicPolicy.model_validate(tomllib.loads(example)).approvals == 2


def test_every_command_of_a_clinics_reviewers_is_documented() -> None:
    names = [command.name for command in reviewer_app.registered_commands]
    assert len(names) == 5
    for name in names:
        assert f"| `cairn clinic reviewer {name}" in POLICY
    for name in ("leave STUDY", "leave --team"):
        assert f"`cairn clinic {name}`" in POLICY
