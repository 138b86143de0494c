"""The network's inputs and outputs by name: one list for features, artefacts and exports."""

from __future__ import annotations

from typing import Final

WEEKS: Final = 27  # 0..26
HORIZONS: Final = (1, 2, 4, 8, 12)  # weeks ahead of an anchor
SCALES: Final = 2  # the study's instrument and its companion

ARMS: Final = (
    "waiting",
    "treatment_as_usual",
    "self_help_book",
    "dmhi_unguided",
    "dmhi_guided",
    "blended",
    "face_to_face",
)
MODALITIES: Final = (
    "online_programme",
    "mobile_app",
    "messaging",
    "videoconference",
    "telephone",
    "virtual_reality",
    "chatbot",
    "wearable_monitoring",
    "self_monitoring",
    "peer_support",
)
OTHER_SCALES: Final = (
    "WSAS",
    "CORE-10",
)  # mapped instruments that the network reads beside its two
WEARABLES: Final = {"steps": 10_000.0, "sleep_hours": 10.0, "resting_heart_rate": 100.0}

COLUMNS: Final = (
    *("score", "score_observed", "last_score", "any_score", "weeks_since_score", "first_score"),
    *("companion", "companion_observed", "last_companion", "any_companion"),
    *("weeks_since_companion", "first_companion"),
    *(f"{kind}_{scale}" for scale in OTHER_SCALES for kind in ("last", "any")),
    "week",
    *(f"arm_{arm}" for arm in ARMS),
    *(f"modality_{modality}" for modality in MODALITIES),
    *("offered", "started", "completed", "logins", "modules", "weeks_since_use"),
    *("check_ins", "minutes", "technical_errors"),
    *("credibility", "credibility_observed", "alliance", "alliance_observed"),
    *(f"{measure}{of}" for measure in WEARABLES for of in ("", "_coverage")),
    *("female", "sex_known", "age", "age_known", "deprivation", "deprivation_known"),
    *("prior_therapy", "prior_therapy_known", "medication", "medication_known"),
    *("out_of_work", "employment_known"),
)
LAST: Final = (COLUMNS.index("last_score"), COLUMNS.index("last_companion"))  # one a scale

OUTCOMES: Final = ("reliable_improvement", "reliable_deterioration", "recovery")
DROPOUTS: Final = ("measurement_lost", "programme_left")
LOST_WITHIN: Final = 8  # weeks without a score that make measurement lost
LEFT_WITHIN: Final = 4  # weeks within which the programme is left
