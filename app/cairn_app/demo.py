"""`cairn demo`: synthetic clinics on disk, the demo's study over them, and what the truth was."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from cairn_app.embedded_study import Oracle
from cairn_app.oracle import Members, oracle_answer
from cairn_app.study_command import run_study, show_end
from cairn_client.readers import Import
from cairn_models.answers import Answer
from cairn_models.synthetic import World, clinic_name, generate, write_clinic_csv
from cairn_protocol.errors import InputError
from cairn_protocol.study import Study

SIZES: Final = (20, 60, 130, 250, 400)
MARK: Final = ".cairn-demo"


def run_demo(out: Path, *, seed: int, as_json: bool) -> None:
    """Make the clinics in `out`, run the study, write the report, say what to try next.

    Raises:
        InputError: `out` holds something that is not an earlier demo.
    """
    world = World()
    clinics, study_file = _lay_out(out, world, seed)
    study = Study.read(study_file)
    if not as_json:
        sizes = ", ".join(map(str, SIZES))
        print(f"{study.title}", file=sys.stderr)
        print(f"  {len(SIZES)} synthetic clinics of {sizes} patients: {clinics}", file=sys.stderr)

    def with_truth(imports: Mapping[str, Import]) -> Oracle:
        def oracle(answers: Sequence[Answer], members: Members) -> Answer:
            records = {name: read.records for name, read in imports.items()}
            return oracle_answer(study, world, records, answers, members)

        return oracle

    results, paths = run_study(study, clinics, out / "results", as_json=as_json, oracle=with_truth)
    show_end(results, paths, as_json=as_json)
    if not as_json:
        _show_next(clinics, study_file)


def _lay_out(out: Path, world: World, seed: int) -> tuple[Path, Path]:
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not (out / MARK).exists():
        raise InputError(
            f"{out} exists and is not an earlier demo",
            code="demo-folder-taken",
            hint="give another folder: cairn demo --out FOLDER",
        )
    if out.is_dir():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARK).touch()
    clinics = out / "clinics"
    for number, records in enumerate(generate(world, SIZES, seed=seed)):
        name = clinic_name(number)
        write_clinic_csv(records, clinics / name, name=name)
        config = f'name = "{name}"\ndata = "synthetic"   # made up by `cairn demo`\n'
        (clinics / name / "clinic.toml").write_text(config)
    study_file = out / "study.toml"
    study_file.write_bytes((files("cairn_app") / "demo_study.toml").read_bytes())
    return clinics, study_file


def _show_next(clinics: Path, study_file: Path) -> None:
    clinic = clinics / clinic_name(0)
    cairn = "cairn" if shutil.which("cairn") else os.path.relpath(sys.argv[0])
    print(
        "\nNext\n"
        "  open the report in a browser\n"
        f"  look at a clinic's files        ls {clinic}\n"
        f"  change the study and run it     {cairn} study run {study_file} "
        f"--clinics {clinics} --out another\n"
        "  run it on data of your own      README.md, 'A study on your own data'"
    )
