"""`card_of`: a model's card from a study's results and the receipt that they rest on."""

from __future__ import annotations

from cairn_models.export.card import Card, Scale, Spent, Tested, Trained
from cairn_models.export.heads import heads_of
from cairn_models.questions import build
from cairn_models.questions.trajectory import Trajectory
from cairn_models.trajectory.features import companion_of
from cairn_models.trajectory.network import VERSION, parameter_count
from cairn_protocol.errors import OurFault
from cairn_server.model_measured import measured
from cairn_server.receipt import Receipt
from cairn_server.results import StudyResults


def card_of(results: StudyResults, receipt: Receipt, question: str) -> Card:
    """The card of the model that `question`, of kind "trajectory", trained."""
    study = results.study
    asked = {spec.name: build(spec, study) for spec in study.questions}
    trained = asked[question]
    if not isinstance(trained, Trajectory):
        raise OurFault(f"{question!r} trained no model", code="model-question")
    main, companion = Scale.of(trained.instrument), Scale.of(companion_of(trained.instrument))
    found = measured(results, asked, question)
    s = trained.settings
    return Card(
        study=study.name,
        title=study.title,
        digest=study.digest.hex(),
        purpose=study.purpose,
        run=receipt.run,
        code_version=receipt.code_version,
        synthetic=results.is_synthetic,
        public=receipt.public,
        main=main,
        companion=companion,
        network=VERSION,
        parameters=parameter_count(),
        trained=Trained(
            question=question,
            rounds=s.rounds,
            bound=trained.bound,
            held_out=trained.split.share,
            held_out_group=trained.split.group,
            held_out_clinics=tuple(sorted(trained.split.clinics)),
            prior=s.prior,
            space=s.space,
            directions=trained.space.size if s.space == "worlds" else 0,
            arms=study.cohort.arms,
            clinics=len(results.participants),
            planned_patients=study.cohort.planned_patients,
        ),
        judged=found.judged,
        heads=heads_of(main.name, companion.name, found),
        held=found.held,
        told=found.told,
        epsilon=receipt.epsilon,
        delta=receipt.delta,
        spent=tuple(Spent(q.name, q.epsilon, q.rounds, q.noise) for q in receipt.budget),
        tested=tuple(
            Tested(t.question, t.epsilon_claimed, t.epsilon_at_least, t.trials)
            for t in receipt.tested
        ),
    )
