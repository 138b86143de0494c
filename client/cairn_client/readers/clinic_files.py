"""`ClinicFiles`: the raw tables of a clinic's folder, each read as what its name's end says."""

from __future__ import annotations

from pathlib import Path

from cairn_client.readers.csv_folder import CsvFolder
from cairn_client.readers.findings import Findings
from cairn_client.readers.mapping import ClinicMapping
from cairn_client.readers.parquet_folder import ParquetFolder, is_parquet
from cairn_client.readers.raw import RawTable


class ClinicFiles:
    """CSV and Parquet files side by side, under one mapping."""

    def __init__(self, folder: Path, mapping: ClinicMapping) -> None:
        self._csv = CsvFolder(folder, mapping)
        self._parquet = ParquetFolder(folder, mapping)
        self._tables = mapping.tables()

    def table(self, name: str, findings: Findings) -> RawTable | None:
        """The raw table `name`, from the file that the mapping names for it."""
        spec = self._tables.get(name)
        if spec is not None and is_parquet(spec.file):
            return self._parquet.table(name, findings)
        return self._csv.table(name, findings)
