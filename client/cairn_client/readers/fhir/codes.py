"""Codes that need no mapping: LOINC and SNOMED CT instruments, answers, wearables and their units.

Sources: LOINC panels 44249-1 and 69737-5, answer list LL358-3; UCUM; HL7 v3 ActCode for labels. An
instrument whose codes could not be verified (WSAS, ISI, PHQ-8) is read through the mapping.
"""

from __future__ import annotations

from typing import Final

from cairn_client.readers.scales import LOINC_ITEMS

LOINC: Final = "http://loinc.org"
SNOMED: Final = "http://snomed.info/sct"

PANELS: Final = {"44249-1": "PHQ-9", "69737-5": "GAD-7"}
TOTALS: Final = {
    "44261-6": "PHQ-9",
    "70274-6": "GAD-7",
    "70272-0": "PHQ-4",
    "55758-7": "PHQ-2",
    "101698-9": "PCL-5",
    "75626-2": "AUDIT-C",
}
SNOMED_TOTALS: Final = {"720433000": "PHQ-9", "445455005": "GAD-7", "718583008": "CORE-10"}
ITEMS: Final = {
    code: (name, str(number))
    for name, codes in LOINC_ITEMS.items()
    for code, number in codes.items()
}
ANSWERS: Final = {"LA6568-5": "0", "LA6569-3": "1", "LA6570-1": "2", "LA6571-9": "3"}
ORDINAL_URLS: Final = frozenset(
    {
        "http://hl7.org/fhir/StructureDefinition/ordinalValue",
        "http://hl7.org/fhir/StructureDefinition/itemWeight",
    }
)

# Spot heart rates (8867-4) are taken at visits, too: only the resting rate is a wearable's.
WEARABLES: Final = {
    "41950-7": "steps",
    "55423-8": "steps",
    "93832-4": "sleep_hours",
    "40443-4": "resting_heart_rate",
}
STEPS_OF_SOME_TIME: Final = "55423-8"  # counts a day only where the unit or the period says so
_STEPS: Final = {"/d", "1/d", "{steps}/d", "{step}/d", "{count}/d", "/(24.h)", "{steps}/(24.h)"}
COUNTED_STEPS: Final = frozenset({"{steps}", "{step}", "{count}", "1"})
UNITS: Final[dict[str, dict[str, float]]] = {
    "steps": dict.fromkeys(_STEPS, 1.0),
    "sleep_hours": {"h": 1.0, "min": 1 / 60, "s": 1 / 3600},
    "resting_heart_rate": dict.fromkeys(
        ("/min", "1/min", "{beats}/min", "{Beats}/min", "{beat}/min"), 1.0
    ),
}

# 42 CFR Part 2, substance-use sensitivity, psychotherapy notes (HL7 v3 ActCode).
SENSITIVE: Final = frozenset(
    {
        "42CFRPart2",
        "42CFRPart2CD",
        "ETH",
        "ETHUD",
        "SUD",
        "OPIOIDUD",
        "DRGIS",
        "PSYTHPN",
    }
)
