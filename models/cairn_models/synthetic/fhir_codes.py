"""LOINC codes and texts of the two questionnaires and of the wearables, as FHIR wants them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
ANSWERS: Final = (
    ("LA6568-5", "Not at all"),
    ("LA6569-3", "Several days"),
    ("LA6570-1", "More than half the days"),
    ("LA6571-9", "Nearly every day"),
)


@dataclass(frozen=True)
class Questionnaire:
    """One questionnaire: LOINC panel and total, and its items (code, text) in order."""

    name: str
    panel: str
    total: str
    total_text: str
    items: tuple[tuple[str, str], ...]


PHQ9: Final = Questionnaire(
    "phq-9",
    "44249-1",
    "44261-6",
    "Patient health questionnaire 9 item total score",
    (
        ("44250-9", "Little interest or pleasure in doing things"),
        ("44255-8", "Feeling down, depressed, or hopeless"),
        ("44259-0", "Trouble falling or staying asleep, or sleeping too much"),
        ("44254-1", "Feeling tired or having little energy"),
        ("44251-7", "Poor appetite or overeating"),
        ("44258-2", "Feeling bad about yourself"),
        ("44252-5", "Trouble concentrating on things"),
        ("44253-3", "Moving or speaking slowly, or being fidgety or restless"),
        ("44260-8", "Thoughts that you would be better off dead, or of hurting yourself"),
    ),
)
GAD7: Final = Questionnaire(
    "gad-7",
    "69737-5",
    "70274-6",
    "Generalized anxiety disorder 7 item total score",
    (
        ("69725-0", "Feeling nervous, anxious, or on edge"),
        ("68509-9", "Not being able to stop or control worrying"),
        ("69733-4", "Worrying too much about different things"),
        ("69734-2", "Trouble relaxing"),
        ("69735-9", "Being so restless that it is hard to sit still"),
        ("69689-8", "Becoming easily annoyed or irritable"),
        ("69736-7", "Feeling afraid, as if something awful might happen"),
    ),
)
QUESTIONNAIRES: Final = {"PHQ-9": PHQ9, "GAD-7": GAD7}

# measure: (LOINC, text, unit as shown, UCUM code)
WEARABLE_CODES: Final = {
    "steps": ("41950-7", "Number of steps in 24 hour Measured", "steps per day", "/d"),
    "sleep_hours": ("93832-4", "Sleep duration", "h", "h"),
    "resting_heart_rate": ("40443-4", "Heart rate --resting", "beats/minute", "/min"),
}
