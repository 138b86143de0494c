"""`cairn study run`: a study over folders, from the files to the report."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

from cairn_app.embedded_study import EmbeddedStudy, Oracle
from cairn_app.progress import watching
from cairn_app.usage import peak_memory_mb, seconds_since_start
from cairn_client.clinic_folder import clinic_folders
from cairn_client.readers import Import
from cairn_protocol.errors import InputError, StudyStopped
from cairn_protocol.study import Study
from cairn_server.report import Paths, sealed_path
from cairn_server.report_folder import check_for_run, held_ready, write_or_save
from cairn_server.results import StudyResults


def run_study_command(study_file: Path, clinics: Path, out: Path, *, as_json: bool) -> None:
    """Run the study in `study_file` over the folders in `clinics`; write and name the results."""
    study = Study.read(study_file)
    results, paths = run_study(study, clinics, out, as_json=as_json)
    show_end(results, paths, as_json=as_json)
    if results.stopped:
        raise StudyStopped(
            "the study stopped early; what was answered until then is in the report",
            code="early",
            why=results.stopped,
        )


def run_study(
    study: Study,
    clinics: Path,
    out: Path,
    *,
    as_json: bool,
    oracle: Callable[[dict[str, Import]], Oracle] | None = None,
) -> tuple[StudyResults, Paths]:
    """Run `study` over the folders in `clinics`, showing progress; results are written to `out`.

    Raises:
        InputError: `out` is taken or cannot be written, found before anything is spent. Or it could
            no longer be written at the end: then the results were saved elsewhere, and shown.
    """
    check_for_run(out, study)
    blinded = study.release.blinded
    with held_ready(out, blinded=blinded), watching(as_json=as_json) as watch:
        engine = EmbeddedStudy(study, clinic_folders(clinics), watch=watch)
        imports = engine.read()
        _check_arms(study, imports)
        if not as_json:
            _show_imports(imports, engine)
        results = engine.run(oracle(imports) if oracle else None)
    paths, failure = write_or_save(results, out)
    if failure is not None:
        show_end(results, paths, as_json=as_json)
        raise failure
    return results, paths


def show_end(results: StudyResults, paths: Paths, *, as_json: bool) -> None:
    """Print the answers' first sentences, where the files are, and what the run took."""
    seconds, memory = seconds_since_start(), peak_memory_mb()
    if as_json:
        print(
            json.dumps(
                {
                    "report": str(paths.report),
                    "results": str(paths.results),
                    "seconds": round(seconds, 1),
                    "peak_memory_mb": round(memory),
                    "stopped": results.stopped,
                    "blinded": results.is_blinded,
                }
            )
        )
        return
    for answer in results.answers:
        print(f"\n{answer.title}")
        for sentence in answer.sentences:
            print(textwrap.fill(sentence, 96, initial_indent="  ", subsequent_indent="  "))
    print()
    print(f"Report   {paths.report}")
    print(f"Numbers  {paths.results}")
    if results.is_blinded:
        print(f"Blinded  arms bear letters; the key is {sealed_path(paths.results.parent)}")
    print(f"Took     {seconds:.0f} s, {memory:,.0f} MB of memory at most")


def _check_arms(study: Study, imports: dict[str, Import]) -> None:
    """Refuse an arm that no clinic has, before anything is spent: most likely it is misspelt.

    Whoever runs all clinics in one process sees their files anyway.
    """
    found: set[str] = set()
    for read in imports.values():
        found.update(read.records.patients["arm"].drop_nulls().unique().to_list())
    if study.cohort.arms and (nowhere := sorted(set(study.cohort.arms) - found)):
        raise InputError(
            f"no clinic has a patient in the arm {nowhere[0]!r}",
            code="arm-nowhere",
            why=f"arms in the files: {', '.join(sorted(found)) or 'none'}",
            hint="correct cohort.arms in the study, or [patients.arms] in the mappings; "
            "nothing has been spent",
        )


def _show_imports(imports: dict[str, Import], engine: EmbeddedStudy) -> None:
    folders = {k.clinic.config.name: k.clinic.path for k in engine.keepers}
    for name, read in imports.items():
        if not read.findings:
            continue
        quarantine = read.write_quarantine(folders[name])
        print(f"{name}: some rows were set aside (listed in {quarantine})", file=sys.stderr)
        for line in read.summary().splitlines():
            print(f"  {line}", file=sys.stderr)
