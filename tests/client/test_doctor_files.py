"""The doctor on a clinic's files: keys, modes, owners, users, mapping; each fault is planted."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cairn_client.clinic_config import ClinicConfig
from cairn_client.clinic_folder import ClinicFolder
from cairn_client.doctor.finding import Level
from cairn_client.doctor.keys import keys
from cairn_client.doctor.permissions import Running, permissions, separation
from cairn_client.doctor.policy import policy
from cairn_client.doctor.records import records
from cairn_client.doctor.site import Site
from cairn_client.key_source import CREDENTIAL
from cairn_client.sockets import Sockets
from cairn_protocol.errors import InputError
from cairn_server.pki import Authority
from doctor_bench import joined, levels, one
from keeper_bench import write_clinic

AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="another user's files need root")


@pytest.fixture(scope="module")
def team() -> Authority:
    return Authority.create("a test's team", datetime.now(UTC))


@pytest.fixture
def oak(tmp_path: Path, team: Authority) -> Site:
    """A joined clinic with records that only its own user may read."""
    folder = write_clinic(tmp_path / "oak", "oak")
    folder.chmod(0o711)
    for file in folder.glob("*.csv"):
        file.chmod(0o600)
    Sockets(folder).make_folders()
    return joined(folder, team, fleet=1, registry=1)


def test_a_clinic_as_it_should_be_has_whole_keys(oak: Site) -> None:
    found = levels(keys(oak))
    assert found.pop("keys.source") == Level.WARNING, "patients' data, a key file on the disk"
    assert set(found) == {"keys.identity", "keys.team", "keys.node", "keys.authority"}
    assert set(found.values()) == {Level.OK}


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (".cairn/identity.key", "input.identity-damaged"),
        (".cairn/team.pub", "input.team-key-damaged"),
        ("link/node.key", "input.node-key-damaged"),
        ("link/ca.pem", "keys.authority-damaged"),
    ],
)
def test_a_damaged_key_is_named_and_none_of_it_shown(oak: Site, file: str, code: str) -> None:
    (oak.path / file).write_bytes(b"TOP SECRET 7")
    found = list(keys(oak))
    assert one(found, code).level == Level.PROBLEM
    assert "TOP" not in str(found)


def test_an_authority_that_ends_is_said_before_and_after(oak: Site) -> None:
    def with_end_in(days: float) -> dict[str, Level]:
        made = datetime.now(UTC) - timedelta(days=3650) + timedelta(days=days)
        old = Authority.create("old", made)
        life = old.certificate.not_valid_after_utc - datetime.now(UTC)
        old = Authority.create("old", made - life + timedelta(days=days))
        (oak.link / "ca.pem").write_bytes(old.pem)
        return levels(keys(oak))

    assert with_end_in(-1)["keys.authority-expired"] == Level.PROBLEM
    assert with_end_in(20)["keys.authority-ends"] == Level.WARNING
    assert with_end_in(40)["keys.authority"] == Level.OK


def test_where_the_sealing_key_comes_from_is_said(
    oak: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "key file" in one(keys(oak), "keys.source").what
    clinic = ClinicFolder.open(oak.path)
    before = clinic.identity().public
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (oak.state / "identity.key").rename(credentials / CREDENTIAL)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    said = one(keys(oak), "keys.source")
    assert (said.level, "credential" in said.what) == (Level.OK, True)
    assert clinic.identity().public == before
    assert not (oak.state / "identity.key").exists()
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert "credential" in one(keys(oak, answers=True), "keys.source").what


def test_two_keys_are_one_too_many(
    oak: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / CREDENTIAL).write_bytes(bytes(32))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert one(keys(oak), "input.identity-twice").level == Level.PROBLEM
    with pytest.raises(InputError, match="identity-twice"):
        ClinicFolder.open(oak.path).identity()


def test_a_key_that_was_lost_is_not_made_anew(oak: Site) -> None:
    (oak.state / "identity.key").unlink()
    (oak.state / "keeper.sqlite").touch(mode=0o600)
    assert one(keys(oak), "input.identity-missing").level == Level.PROBLEM
    with pytest.raises(InputError, match="identity-missing"):
        ClinicFolder.open(oak.path).identity()
    assert not (oak.state / "identity.key").exists()


def test_a_clinic_as_it_should_be_is_open_to_nobody(oak: Site) -> None:
    assert set(levels(permissions(oak)).values()) == {Level.OK}


@pytest.mark.parametrize(
    ("file", "mode"),
    [
        (".", 0o777),
        (".cairn", 0o750),
        (".cairn/identity.key", 0o644),
        (".cairn/team.pub", 0o640),
        ("clinic.toml", 0o666),
        ("mapping.toml", 0o664),
        ("link", 0o755),
        ("link/node.key", 0o640),
        ("link/ca.pem", 0o662),
        ("run", 0o777),
        ("run/admin", 0o750),
        ("run/link", 0o755),
    ],
)
def test_a_mode_that_is_too_wide_is_named_with_the_command_that_mends_it(
    oak: Site, file: str, mode: int
) -> None:
    path = oak.path / file
    path.chmod(mode)
    found = one(permissions(oak), "permissions.mode")
    assert found.level == Level.PROBLEM
    assert found.remedy.startswith("chmod ")
    assert str(path) in found.what
    path.chmod(int(found.remedy.split()[1], 8))
    assert set(levels(permissions(oak)).values()) == {Level.OK}


def test_records_that_everyone_may_read_are_a_warning(oak: Site) -> None:
    (oak.path / "scores.csv").chmod(0o644)
    found = one(permissions(oak), "permissions.records")
    assert (found.level, "scores.csv" in found.what) == (Level.WARNING, True)


@needs_root
def test_a_file_of_another_user_is_named(oak: Site) -> None:
    shutil.chown(oak.state / "team.pub", "nobody")
    found = one(permissions(oak), "permissions.owner")
    assert found.level == Level.PROBLEM
    assert "chown" in found.remedy


def configured(site: Site, keeper: str, link: str) -> Site:
    return replace(
        site, config=site.config.model_copy(update={"keeper_user": keeper, "link_user": link})
    )


@pytest.mark.parametrize(
    ("keeper", "link", "code"),
    [
        ("daemon", "daemon", "input.users"),
        ("daemon", "", "input.users"),
        ("daemon", "no-such-user-here", "input.user-unknown"),
    ],
)
def test_users_that_separate_nothing_are_a_problem(
    oak: Site, keeper: str, link: str, code: str
) -> None:
    found = one(separation(configured(oak, keeper, link), Running()), code)
    assert found.level == Level.PROBLEM


def test_one_user_for_both_is_a_warning_where_patients_are_at_stake(oak: Site) -> None:
    found = one(separation(oak, Running(7, 7)), "separation.users")
    assert found.level == Level.WARNING
    synthetic = replace(oak, config=ClinicConfig(name="oak", data="synthetic"))
    assert one(separation(synthetic, Running(7, 7)), "separation.users").level == Level.OK


@needs_root
def test_a_link_that_could_read_records_is_a_problem(tmp_path: Path, team: Authority) -> None:
    """`nobody` may pass through these folders, as it may at a clinic; one file is left open."""
    root = Path("/tmp") / f"cairn-doctor-{os.getpid()}"
    root.mkdir(mode=0o711)
    try:
        folder = write_clinic(root / "oak", "oak")
        folder.chmod(0o711)
        site = configured(joined(folder, team, fleet=1, registry=1), "daemon", "nobody")
        exposed = one(separation(site, Running()), "input.records-exposed")
        assert exposed.level == Level.PROBLEM
        assert "identity.key" not in exposed.why
        for file in (*folder.glob("*.csv"), folder / "mapping.toml"):
            file.chmod(0o600)
        assert one(separation(site, Running()), "separation.records").level == Level.OK
        assert one(separation(site, Running()), "separation.users").level == Level.OK
    finally:
        shutil.rmtree(root)


def test_a_mapping_that_is_understood_and_files_that_are_new(oak: Site) -> None:
    found = levels(records(oak))
    assert found == {
        "records.mapping": Level.OK,
        "records.age": Level.OK,
        "records.import": Level.UNCHECKED,
    }


def test_an_import_that_is_older_than_the_files_is_a_warning(oak: Site) -> None:
    sealed = oak.state / "records.sealed"
    sealed.write_bytes(b"")
    assert one(records(oak), "records.import").level == Level.OK
    week = time.time() - 7 * 86400
    os.utime(sealed, (week, week))
    behind = one(records(oak), "records.import-behind")
    assert (behind.level, "7 days" in behind.what) == (Level.WARNING, True)


def test_no_mapping_a_broken_one_a_missing_file_and_old_ones(oak: Site) -> None:
    month = time.time() - 40 * 86400
    for file in oak.path.glob("*.csv"):
        os.utime(file, (month, month))
    old = one(records(oak), "records.old")
    assert (old.level, "40 days" in old.what) == (Level.WARNING, True)
    (oak.path / "scores.csv").unlink()
    missing = one(records(oak), "input.file-missing")
    assert (missing.level, "scores.csv" in missing.what) == (Level.PROBLEM, True)
    (oak.path / "mapping.toml").write_text("cairn = 1\n[scores\n")
    assert Level.PROBLEM in levels(records(oak)).values()
    (oak.path / "mapping.toml").unlink()
    assert one(records(oak), "records.mapping-missing").level == Level.WARNING


def test_a_policy_that_the_keeper_cannot_use_is_a_problem_with_its_remedy(oak: Site) -> None:
    assert one(policy(oak), "policy.file").what == "policy.toml sets nothing"
    file = oak.path / "policy.toml"
    file.write_text("approvals = 2\nmin_clinics = 4\n")
    assert one(policy(oak), "policy.file").what == "policy.toml sets approvals, min_clinics"
    for text, code in (
        ("approvals = three", "input.not-toml"),
        ("max_epsilon_study = 19.0", "input.policy-loosens"),
        ("min_clinic = 4", "input.file-invalid"),
    ):
        file.write_text(text)
        found = one(policy(oak), code)
        assert found.level == Level.PROBLEM
        assert found.remedy


@needs_root
def test_a_policy_that_is_not_the_keepers_is_a_problem(oak: Site) -> None:
    file = oak.path / "policy.toml"
    file.write_text("approvals = 2")
    os.chown(file, 1, 1)
    found = one(policy(oak), "policy.owner")
    assert found.level == Level.PROBLEM
    assert found.remedy.startswith("chown root ")
