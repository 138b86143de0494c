"""The whole template: its primary results' precision, and what a run of it takes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.effects_precision import widened
from benchmarks.outcome import Outcome, Target
from benchmarks.studies_pool import Pool, population
from cairn_app.embedded_study import EmbeddedStudy
from cairn_app.study_template import Template, Window
from cairn_app.usage import one_torch_thread, peak_memory_mb
from cairn_client.clinic_folder import clinic_folders
from cairn_client.readers import Import
from cairn_models.questions import build
from cairn_models.questions.base import SumNoise
from cairn_models.records import Records
from cairn_models.synthetic import World, clinic_name, generate, write_clinic_csv
from cairn_protocol.study import Study
from cairn_server.planning import plan_study

TEMPLATE = "waitlist-dmhi"
EPSILON = 3.0  # of the whole template
PATIENTS, PEOPLE, STUDIES = 3_000, 50_000, 1_000
CLINICS, CLINIC_PATIENTS = 20, 500
MOST = 0.40
PRIMARY = {
    "does-it-help": "dmhi_guided-waiting",
    "better-or-worse": "reliable_deterioration-difference-dmhi_guided-waiting",
    "who-stops-answering": "difference-dmhi_guided-waiting",
}
BUILT_ON = ("trajectory", "error")  # kinds that need a trained model: nothing to repeat


def precision(outcome: Outcome) -> None:
    """Adds a row for every primary result whose studies can be repeated, a target for three."""
    study = _study(10, PATIENTS)
    records = population(PEOPLE, study.cohort.arms)
    plan = {q.name: q for q in plan_study(study).questions}
    for spec in study.questions:
        if spec.kind in BUILT_ON:
            continue
        names = [e.name for e in plan[spec.name].expected]
        pool = Pool.of(study, records, spec.name)
        for found in widened(pool, names, patients=PATIENTS, studies=STUDIES, seed=3):
            outcome.rows.append(
                {
                    "what": f"template, {spec.name}: {found.name}",
                    "patients": PATIENTS,
                    "epsilon": spec.epsilon,
                    "shown": round(found.shown, 4),
                    "standard_error_without": round(found.without, 5),
                    "inflation": round(found.measured, 4),
                    "planned": None if found.planned is None else round(found.planned, 4),
                    "local": round(found.local, 4),
                }
            )
            if PRIMARY.get(spec.name) == found.name:
                what = f"template at ε = {EPSILON:g}, {spec.name}: inflation"
                outcome.targets.append(Target(what, round(found.measured, 4), "<=", MOST))


def run(outcome: Outcome) -> None:
    """Adds what the template takes over twenty clinics, beside the same answers from one pool."""
    study = _study(CLINICS, CLINICS * CLINIC_PATIENTS)
    with tempfile.TemporaryDirectory() as folder:
        _write_clinics(Path(folder), study)
        engine = EmbeddedStudy(study, clinic_folders(Path(folder)))
        start, busy = time.perf_counter(), time.process_time()
        imports = engine.read()
        reading = time.perf_counter() - start
        results = engine.run()
        busy = time.process_time() - busy
    plan, took = plan_study(study), results.run
    outcome.rows.append(
        {
            "what": "template, embedded",
            "clinics": CLINICS,
            "patients": CLINICS * CLINIC_PATIENTS,
            "questions": len(results.answers),
            "rounds": plan.rounds,
            "reading_seconds": round(reading, 2),
            "seconds": round(took.seconds, 2),
            "processor_seconds": round(busy, 2),
            "bytes_moved": took.bytes_moved,
            "bytes_moved_a_clinic": round(took.bytes_moved / CLINICS),
            "vectors_up_a_clinic": plan.bytes_up,
            "stopped": results.stopped,
            "peak_mb": round(peak_memory_mb()),
        }
    )
    outcome.rows.append(_pooled(study, imports))


def _pooled(study: Study, imports: dict[str, Import]) -> dict[str, Any]:
    """The same questions of all patients in one place, without noise, protocol or clinics."""
    held = [read.records for read in imports.values()]
    patients, scores, engagement, wearables = (
        pl.concat([getattr(r, table) for r in held], how="diagonal")
        for table in ("patients", "scores", "engagement", "wearables")
    )
    pooled = Records(patients, scores, engagement, wearables, held[0].time_unit)
    start = time.perf_counter()
    released: dict[str, Any] = {}
    with one_torch_thread():
        for spec in study.questions:
            question = build(spec, study)
            prepared, public = question.prepare(pooled), question.start(released)
            total = np.zeros(question.shape.length)
            for round_ in range(question.shape.rounds):
                total = np.zeros(question.shape.length)
                for rows in question.contributions(prepared, public):
                    total += rows.sum(axis=0)
                public = question.advance(public, total, round_)
            answer = question.estimate(public, total, SumNoise(0.0))
            released |= {f"{spec.name}/{k}": v for k, v in answer.released.items()}
    seconds = round(time.perf_counter() - start, 2)
    return {"what": "template, pooled, without noise", "patients": len(pooled), "seconds": seconds}


def _study(clinics: int, patients: int) -> Study:
    return Study.parse(
        Template.named(TEMPLATE).fill(
            clinics=clinics,
            patients=patients,
            epsilon=EPSILON,
            window=Window.synthetic(),
            synthetic=True,
        )
    )


def _write_clinics(folder: Path, study: Study) -> None:
    sizes = [CLINIC_PATIENTS] * study.policy.clinics
    for number, records in enumerate(generate(World(), sizes, seed=11)):
        name = clinic_name(number)
        write_clinic_csv(records, folder / name, name=name)
        (folder / name / "clinic.toml").write_text(f'name = "{name}"\ndata = "synthetic"\n')
