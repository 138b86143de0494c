from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResultsRequest(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: str
    def __init__(self, study: _Optional[str] = ...) -> None: ...

class ResultsReply(_message.Message):
    __slots__ = ("caption", "studies", "shown", "answers", "results")
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    caption: str
    studies: _containers.RepeatedCompositeFieldContainer[ReturnedStudy]
    shown: ReturnedStudy
    answers: _containers.RepeatedCompositeFieldContainer[PooledAnswer]
    results: bytes
    def __init__(self, caption: _Optional[str] = ..., studies: _Optional[_Iterable[_Union[ReturnedStudy, _Mapping]]] = ..., shown: _Optional[_Union[ReturnedStudy, _Mapping]] = ..., answers: _Optional[_Iterable[_Union[PooledAnswer, _Mapping]]] = ..., results: _Optional[bytes] = ...) -> None: ...

class ReturnedStudy(_message.Message):
    __slots__ = ("digest", "name", "title", "synthetic", "version", "received_at", "findings", "models", "tuned", "courses")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SYNTHETIC_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    TUNED_FIELD_NUMBER: _ClassVar[int]
    COURSES_FIELD_NUMBER: _ClassVar[int]
    digest: str
    name: str
    title: str
    synthetic: bool
    version: int
    received_at: int
    findings: str
    models: _containers.RepeatedScalarFieldContainer[str]
    tuned: _containers.RepeatedScalarFieldContainer[str]
    courses: str
    def __init__(self, digest: _Optional[str] = ..., name: _Optional[str] = ..., title: _Optional[str] = ..., synthetic: _Optional[bool] = ..., version: _Optional[int] = ..., received_at: _Optional[int] = ..., findings: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., tuned: _Optional[_Iterable[str]] = ..., courses: _Optional[str] = ...) -> None: ...

class PooledAnswer(_message.Message):
    __slots__ = ("question", "kind", "title", "sentences", "notes", "tables", "drawings")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    DRAWINGS_FIELD_NUMBER: _ClassVar[int]
    question: str
    kind: str
    title: str
    sentences: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    tables: _containers.RepeatedCompositeFieldContainer[OwnTable]
    drawings: _containers.RepeatedCompositeFieldContainer[Drawing]
    def __init__(self, question: _Optional[str] = ..., kind: _Optional[str] = ..., title: _Optional[str] = ..., sentences: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ..., tables: _Optional[_Iterable[_Union[OwnTable, _Mapping]]] = ..., drawings: _Optional[_Iterable[_Union[Drawing, _Mapping]]] = ...) -> None: ...

class OwnTable(_message.Message):
    __slots__ = ("title", "columns", "rows", "note")
    TITLE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    title: str
    columns: _containers.RepeatedScalarFieldContainer[str]
    rows: _containers.RepeatedCompositeFieldContainer[OwnRow]
    note: str
    def __init__(self, title: _Optional[str] = ..., columns: _Optional[_Iterable[str]] = ..., rows: _Optional[_Iterable[_Union[OwnRow, _Mapping]]] = ..., note: _Optional[str] = ...) -> None: ...

class OwnRow(_message.Message):
    __slots__ = ("cells",)
    CELLS_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, cells: _Optional[_Iterable[str]] = ...) -> None: ...

class Drawing(_message.Message):
    __slots__ = ("svg", "table")
    SVG_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    svg: str
    table: OwnTable
    def __init__(self, svg: _Optional[str] = ..., table: _Optional[_Union[OwnTable, _Mapping]] = ...) -> None: ...

class OwnBesideRequest(_message.Message):
    __slots__ = ("study", "session")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    study: str
    session: str
    def __init__(self, study: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class OwnBesideReply(_message.Message):
    __slots__ = ("caption", "study", "patients", "answers", "page")
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    PATIENTS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    caption: str
    study: ReturnedStudy
    patients: int
    answers: _containers.RepeatedCompositeFieldContainer[OwnAnswer]
    page: str
    def __init__(self, caption: _Optional[str] = ..., study: _Optional[_Union[ReturnedStudy, _Mapping]] = ..., patients: _Optional[int] = ..., answers: _Optional[_Iterable[_Union[OwnAnswer, _Mapping]]] = ..., page: _Optional[str] = ...) -> None: ...

class OwnAnswer(_message.Message):
    __slots__ = ("question", "kind", "title", "estimates", "drawings", "without")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    ESTIMATES_FIELD_NUMBER: _ClassVar[int]
    DRAWINGS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FIELD_NUMBER: _ClassVar[int]
    question: str
    kind: str
    title: str
    estimates: _containers.RepeatedCompositeFieldContainer[OwnEstimate]
    drawings: _containers.RepeatedCompositeFieldContainer[Drawing]
    without: str
    def __init__(self, question: _Optional[str] = ..., kind: _Optional[str] = ..., title: _Optional[str] = ..., estimates: _Optional[_Iterable[_Union[OwnEstimate, _Mapping]]] = ..., drawings: _Optional[_Iterable[_Union[Drawing, _Mapping]]] = ..., without: _Optional[str] = ...) -> None: ...

class OwnEstimate(_message.Message):
    __slots__ = ("name", "label", "unit", "pooled", "own")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    POOLED_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    name: str
    label: str
    unit: str
    pooled: OwnValue
    own: OwnValue
    def __init__(self, name: _Optional[str] = ..., label: _Optional[str] = ..., unit: _Optional[str] = ..., pooled: _Optional[_Union[OwnValue, _Mapping]] = ..., own: _Optional[_Union[OwnValue, _Mapping]] = ...) -> None: ...

class OwnValue(_message.Message):
    __slots__ = ("value", "low", "high", "suppressed")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    SUPPRESSED_FIELD_NUMBER: _ClassVar[int]
    value: float
    low: float
    high: float
    suppressed: str
    def __init__(self, value: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., suppressed: _Optional[str] = ...) -> None: ...

class TuneModelRequest(_message.Message):
    __slots__ = ("study", "question", "session")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    study: str
    question: str
    session: str
    def __init__(self, study: _Optional[str] = ..., question: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class TuneModelReply(_message.Message):
    __slots__ = ("caption", "question", "helped", "trained", "judged", "error_before", "error_after", "gain", "gain_low", "gain_high")
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    HELPED_FIELD_NUMBER: _ClassVar[int]
    TRAINED_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    ERROR_BEFORE_FIELD_NUMBER: _ClassVar[int]
    ERROR_AFTER_FIELD_NUMBER: _ClassVar[int]
    GAIN_FIELD_NUMBER: _ClassVar[int]
    GAIN_LOW_FIELD_NUMBER: _ClassVar[int]
    GAIN_HIGH_FIELD_NUMBER: _ClassVar[int]
    caption: str
    question: str
    helped: bool
    trained: int
    judged: int
    error_before: float
    error_after: float
    gain: float
    gain_low: float
    gain_high: float
    def __init__(self, caption: _Optional[str] = ..., question: _Optional[str] = ..., helped: _Optional[bool] = ..., trained: _Optional[int] = ..., judged: _Optional[int] = ..., error_before: _Optional[float] = ..., error_after: _Optional[float] = ..., gain: _Optional[float] = ..., gain_low: _Optional[float] = ..., gain_high: _Optional[float] = ...) -> None: ...

class PersonsRequest(_message.Message):
    __slots__ = ("session", "study")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    session: str
    study: str
    def __init__(self, session: _Optional[str] = ..., study: _Optional[str] = ...) -> None: ...

class NotSeenRequest(_message.Message):
    __slots__ = ("session", "study", "days")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    session: str
    study: str
    days: int
    def __init__(self, session: _Optional[str] = ..., study: _Optional[str] = ..., days: _Optional[int] = ...) -> None: ...

class PersonsReply(_message.Message):
    __slots__ = ("caption", "order", "definition", "persons")
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    PERSONS_FIELD_NUMBER: _ClassVar[int]
    caption: str
    order: str
    definition: str
    persons: _containers.RepeatedCompositeFieldContainer[PersonLine]
    def __init__(self, caption: _Optional[str] = ..., order: _Optional[str] = ..., definition: _Optional[str] = ..., persons: _Optional[_Iterable[_Union[PersonLine, _Mapping]]] = ...) -> None: ...

class PersonLine(_message.Message):
    __slots__ = ("patient", "arm", "entered", "last_seen", "days_since", "why", "item_nine")
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    ENTERED_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    DAYS_SINCE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    ITEM_NINE_FIELD_NUMBER: _ClassVar[int]
    patient: str
    arm: str
    entered: str
    last_seen: str
    days_since: int
    why: str
    item_nine: ItemNine
    def __init__(self, patient: _Optional[str] = ..., arm: _Optional[str] = ..., entered: _Optional[str] = ..., last_seen: _Optional[str] = ..., days_since: _Optional[int] = ..., why: _Optional[str] = ..., item_nine: _Optional[_Union[ItemNine, _Mapping]] = ...) -> None: ...

class ItemNine(_message.Message):
    __slots__ = ("day", "answer", "advice")
    DAY_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    day: str
    answer: int
    advice: str
    def __init__(self, day: _Optional[str] = ..., answer: _Optional[int] = ..., advice: _Optional[str] = ...) -> None: ...

class CourseRequest(_message.Message):
    __slots__ = ("session", "study", "patient")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    session: str
    study: str
    patient: str
    def __init__(self, session: _Optional[str] = ..., study: _Optional[str] = ..., patient: _Optional[str] = ...) -> None: ...

class CourseReply(_message.Message):
    __slots__ = ("caption", "person", "model", "basis", "missing", "scores", "expected", "flags", "drawings")
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    DRAWINGS_FIELD_NUMBER: _ClassVar[int]
    caption: str
    person: PersonLine
    model: str
    basis: str
    missing: str
    scores: _containers.RepeatedCompositeFieldContainer[ScoreSeen]
    expected: _containers.RepeatedCompositeFieldContainer[ScoreExpected]
    flags: _containers.RepeatedCompositeFieldContainer[Flag]
    drawings: _containers.RepeatedCompositeFieldContainer[Drawing]
    def __init__(self, caption: _Optional[str] = ..., person: _Optional[_Union[PersonLine, _Mapping]] = ..., model: _Optional[str] = ..., basis: _Optional[str] = ..., missing: _Optional[str] = ..., scores: _Optional[_Iterable[_Union[ScoreSeen, _Mapping]]] = ..., expected: _Optional[_Iterable[_Union[ScoreExpected, _Mapping]]] = ..., flags: _Optional[_Iterable[_Union[Flag, _Mapping]]] = ..., drawings: _Optional[_Iterable[_Union[Drawing, _Mapping]]] = ...) -> None: ...

class ScoreSeen(_message.Message):
    __slots__ = ("scale", "week", "day", "value")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    WEEK_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    scale: str
    week: float
    day: str
    value: float
    def __init__(self, scale: _Optional[str] = ..., week: _Optional[float] = ..., day: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class ScoreExpected(_message.Message):
    __slots__ = ("scale", "weeks_ahead", "week", "day", "median", "low80", "high80", "low95", "high95")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    WEEKS_AHEAD_FIELD_NUMBER: _ClassVar[int]
    WEEK_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    LOW80_FIELD_NUMBER: _ClassVar[int]
    HIGH80_FIELD_NUMBER: _ClassVar[int]
    LOW95_FIELD_NUMBER: _ClassVar[int]
    HIGH95_FIELD_NUMBER: _ClassVar[int]
    scale: str
    weeks_ahead: int
    week: int
    day: str
    median: float
    low80: float
    high80: float
    low95: float
    high95: float
    def __init__(self, scale: _Optional[str] = ..., weeks_ahead: _Optional[int] = ..., week: _Optional[int] = ..., day: _Optional[str] = ..., median: _Optional[float] = ..., low80: _Optional[float] = ..., high80: _Optional[float] = ..., low95: _Optional[float] = ..., high95: _Optional[float] = ...) -> None: ...

class FlagsReply(_message.Message):
    __slots__ = ("caption", "order", "definition", "flags")
    CAPTION_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    caption: str
    order: str
    definition: str
    flags: _containers.RepeatedCompositeFieldContainer[Flag]
    def __init__(self, caption: _Optional[str] = ..., order: _Optional[str] = ..., definition: _Optional[str] = ..., flags: _Optional[_Iterable[_Union[Flag, _Mapping]]] = ...) -> None: ...

class Flag(_message.Message):
    __slots__ = ("id", "patient", "scale", "day", "week", "value", "low80", "high80", "basis", "ask", "reviewer", "acknowledged_at", "item_nine")
    ID_FIELD_NUMBER: _ClassVar[int]
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    WEEK_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW80_FIELD_NUMBER: _ClassVar[int]
    HIGH80_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    REVIEWER_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_AT_FIELD_NUMBER: _ClassVar[int]
    ITEM_NINE_FIELD_NUMBER: _ClassVar[int]
    id: str
    patient: str
    scale: str
    day: str
    week: float
    value: float
    low80: float
    high80: float
    basis: str
    ask: str
    reviewer: str
    acknowledged_at: int
    item_nine: ItemNine
    def __init__(self, id: _Optional[str] = ..., patient: _Optional[str] = ..., scale: _Optional[str] = ..., day: _Optional[str] = ..., week: _Optional[float] = ..., value: _Optional[float] = ..., low80: _Optional[float] = ..., high80: _Optional[float] = ..., basis: _Optional[str] = ..., ask: _Optional[str] = ..., reviewer: _Optional[str] = ..., acknowledged_at: _Optional[int] = ..., item_nine: _Optional[_Union[ItemNine, _Mapping]] = ...) -> None: ...

class AcknowledgeRequest(_message.Message):
    __slots__ = ("session", "study", "flag")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    session: str
    study: str
    flag: str
    def __init__(self, session: _Optional[str] = ..., study: _Optional[str] = ..., flag: _Optional[str] = ...) -> None: ...
