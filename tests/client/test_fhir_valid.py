"""What the tests and the synthetic writer call FHIR is FHIR, by a library that knows it in full."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cairn_models.synthetic import World, generate
from cairn_models.synthetic.fhir_files import write_clinic_fhir
from fhir_export import LA, bundle, coding, observation, patient, phq9, plan, response

library = pytest.importorskip(
    "fhir.resources.R4B", reason="fhir.resources is not installed; it comes with the extra dev"
)
COMPONENT = {
    "code": {"coding": [coding("44250-9")]},
    "valueCodeableConcept": {"coding": [coding(LA[1])]},
}
MADE = [
    patient(gender="female", birthDate="1990"),
    plan(),
    observation(),
    observation("44249-1", component=[COMPONENT]),
    response(phq9(17)),
]


@pytest.mark.parametrize("release", ["R4B", "R5"])
def test_the_tests_resources_are_valid(release: str) -> None:
    models = library if release == "R4B" else pytest.importorskip("fhir.resources")
    for resource in MADE:
        made = dict(resource)
        if release == "R5" and made["resourceType"] == "QuestionnaireResponse":
            made["questionnaire"] = "http://loinc.org/q/44249-1"  # required since R5
        models.get_fhir_model_class(made["resourceType"]).model_validate(made)
    library.get_fhir_model_class("Bundle").model_validate(bundle(*MADE))


def test_the_synthetic_export_is_valid(tmp_path: Path) -> None:
    (clinic,) = generate(World(), [3], seed=2, weeks=12)
    for path in write_clinic_fhir(clinic, tmp_path):
        for line in path.read_text(encoding="utf-8").splitlines()[:20]:
            resource = json.loads(line)
            library.get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_no_code_of_ours_needs_the_validator() -> None:
    root = Path(__file__).parents[2]
    packages = ("protocol", "privacy", "models", "client", "server", "app")
    code = [file for name in packages for file in (root / name).rglob("*.py")]
    assert code
    assert not [file.name for file in code if "fhir.resources" in file.read_text()]
