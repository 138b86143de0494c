"""Readers: a clinic's own files in, `Records` and findings out.

from cairn_client.readers import read_clinic
imported = read_clinic(Path("clinic"))
imported.records, imported.findings, print(imported.summary())
"""

from cairn_client.readers.clinic import read_clinic, read_source
from cairn_client.readers.faults import FAULTS
from cairn_client.readers.findings import Finding, Findings
from cairn_client.readers.imported import QUARANTINE_FILE, Import
from cairn_client.readers.mapping import MAPPING_FILE, ClinicMapping
from cairn_client.readers.raw import RawTable, Source

__all__ = [
    "FAULTS",
    "MAPPING_FILE",
    "QUARANTINE_FILE",
    "ClinicMapping",
    "Finding",
    "Findings",
    "Import",
    "RawTable",
    "Source",
    "read_clinic",
    "read_source",
]
