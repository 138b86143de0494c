"""Synthetic clinics: records that look like a service's and describe nobody.

    World                    the law: every parameter, by name (`world.py`)
    generate                 records of some clinics (`cohort.py`)
    draw_clinic_sizes        how large clinics are (`sizes.py`)
    true_effect              what an arm does under full follow-up (`truth.py`)
    quantities               what the calibration holds the generator to (`quantities.py`)
    write_clinic_csv         a clinic's files and their mapping (`csv_files.py`)
    write_clinic_fhir        a bulk export (`fhir_files.py`)
    write_clinic_omop        a database in one file (`omop_files.py`)

`python -m cairn_models.synthetic --help` writes a set of clinics into a folder, with all tables and
mappings; `cairn synthetic` writes what clinics' systems would export, each its own way.
"""

from cairn_models.synthetic.cohort import clinic_name, generate
from cairn_models.synthetic.csv_files import write_clinic_csv
from cairn_models.synthetic.fhir_files import write_clinic_fhir
from cairn_models.synthetic.omop_files import write_clinic_omop
from cairn_models.synthetic.quantities import Quantity, quantities
from cairn_models.synthetic.sizes import draw_clinic_sizes
from cairn_models.synthetic.truth import TrueEffect, true_effect
from cairn_models.synthetic.world import World

__all__ = [
    "Quantity",
    "TrueEffect",
    "World",
    "clinic_name",
    "draw_clinic_sizes",
    "generate",
    "quantities",
    "true_effect",
    "write_clinic_csv",
    "write_clinic_fhir",
    "write_clinic_omop",
]
