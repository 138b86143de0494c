"""Small federations on disk: three clinics, one quick question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cairn_client.clinic_folder import clinic_folders
from cairn_models.synthetic import World, clinic_name, generate, write_clinic_csv
from cairn_protocol.study import Study
from small_study import STUDY

Federation = Callable[..., Path]


@pytest.fixture
def small_study() -> Study:
    return Study.parse(STUDY.encode())


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    """Makes a folder of clinics: `federation(sizes=(…), data="synthetic", seed=1)`."""

    def make(sizes: tuple[int, ...] = (30, 40, 50), data: str = "synthetic", seed: int = 1) -> Path:
        folder = tmp_path / "clinics"
        for number, records in enumerate(generate(World(), sizes, seed=seed)):
            name = clinic_name(number)
            write_clinic_csv(records, folder / name, name=name)
            (folder / name / "clinic.toml").write_text(f'name = "{name}"\ndata = "{data}"\n')
        return folder

    return make


@pytest.fixture
def clinics(federation: Federation) -> list:  # type: ignore[type-arg]
    return clinic_folders(federation())
