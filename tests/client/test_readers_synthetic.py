"""The synthetic clinics' files read back as the records that they were written from."""

from __future__ import annotations

from pathlib import Path

import pytest

from cairn_client.readers import read_clinic
from cairn_models.synthetic import World, generate, write_clinic_csv

TABLES = {
    "patients": ["patient"],
    "scores": ["patient", "instrument", "time"],
    "engagement": ["patient", "measure", "time"],
    "wearables": ["patient", "measure", "week"],
}


@pytest.mark.parametrize("world", [World(), World.shifted()], ids=["default", "shifted"])
def test_synthetic_clinics_are_read_back_exactly(world: World, tmp_path: Path) -> None:
    for number, written in enumerate(generate(world, [40, 10], seed=7, weeks=26)):
        folder = tmp_path / str(number)
        write_clinic_csv(written, folder, name="oak")
        imported = read_clinic(folder)
        assert imported.findings == ()
        assert imported.synthetic
        assert "synthetic patients" in imported.summary()
        for table, order in TABLES.items():
            original = getattr(written, table).sort(order)
            assert getattr(imported.records, table).equals(original), table
