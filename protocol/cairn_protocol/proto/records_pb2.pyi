from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Attempt(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_KEPT: _ClassVar[Attempt]
    ATTEMPT_TRIED: _ClassVar[Attempt]
ATTEMPT_KEPT: Attempt
ATTEMPT_TRIED: Attempt

class DryRunRequest(_message.Message):
    __slots__ = ("person", "session")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    person: str
    session: str
    def __init__(self, person: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class ImportRequest(_message.Message):
    __slots__ = ("person", "session", "accept_loss")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_LOSS_FIELD_NUMBER: _ClassVar[int]
    person: str
    session: str
    accept_loss: bool
    def __init__(self, person: _Optional[str] = ..., session: _Optional[str] = ..., accept_loss: _Optional[bool] = ...) -> None: ...

class RunRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ImportRun(_message.Message):
    __slots__ = ("state", "dry_run", "person", "started_at", "ended_at", "line", "what", "why", "hint", "code")
    STATE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    state: str
    dry_run: bool
    person: str
    started_at: int
    ended_at: int
    line: ImportLine
    what: str
    why: str
    hint: str
    code: str
    def __init__(self, state: _Optional[str] = ..., dry_run: _Optional[bool] = ..., person: _Optional[str] = ..., started_at: _Optional[int] = ..., ended_at: _Optional[int] = ..., line: _Optional[_Union[ImportLine, _Mapping]] = ..., what: _Optional[str] = ..., why: _Optional[str] = ..., hint: _Optional[str] = ..., code: _Optional[str] = ...) -> None: ...

class ImportsRequest(_message.Message):
    __slots__ = ("before",)
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    before: int
    def __init__(self, before: _Optional[int] = ...) -> None: ...

class ImportsReply(_message.Message):
    __slots__ = ("imports", "more")
    IMPORTS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    imports: _containers.RepeatedCompositeFieldContainer[ImportLine]
    more: int
    def __init__(self, imports: _Optional[_Iterable[_Union[ImportLine, _Mapping]]] = ..., more: _Optional[int] = ...) -> None: ...

class ImportLine(_message.Message):
    __slots__ = ("place", "number", "at", "outcome", "person", "source", "records", "patients", "rows", "set_aside", "left_out", "lost", "loss_accepted", "code")
    class Tally(_message.Message):
        __slots__ = ("name", "count")
        NAME_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        name: str
        count: int
        def __init__(self, name: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...
    class Lost(_message.Message):
        __slots__ = ("table", "before", "gone")
        TABLE_FIELD_NUMBER: _ClassVar[int]
        BEFORE_FIELD_NUMBER: _ClassVar[int]
        GONE_FIELD_NUMBER: _ClassVar[int]
        table: str
        before: int
        gone: int
        def __init__(self, table: _Optional[str] = ..., before: _Optional[int] = ..., gone: _Optional[int] = ...) -> None: ...
    PLACE_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    PATIENTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SET_ASIDE_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    LOSS_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    place: int
    number: int
    at: int
    outcome: str
    person: str
    source: str
    records: str
    patients: int
    rows: _containers.RepeatedCompositeFieldContainer[ImportLine.Tally]
    set_aside: int
    left_out: _containers.RepeatedCompositeFieldContainer[ImportLine.Tally]
    lost: _containers.RepeatedCompositeFieldContainer[ImportLine.Lost]
    loss_accepted: bool
    code: str
    def __init__(self, place: _Optional[int] = ..., number: _Optional[int] = ..., at: _Optional[int] = ..., outcome: _Optional[str] = ..., person: _Optional[str] = ..., source: _Optional[str] = ..., records: _Optional[str] = ..., patients: _Optional[int] = ..., rows: _Optional[_Iterable[_Union[ImportLine.Tally, _Mapping]]] = ..., set_aside: _Optional[int] = ..., left_out: _Optional[_Iterable[_Union[ImportLine.Tally, _Mapping]]] = ..., lost: _Optional[_Iterable[_Union[ImportLine.Lost, _Mapping]]] = ..., loss_accepted: _Optional[bool] = ..., code: _Optional[str] = ...) -> None: ...

class QualityRequest(_message.Message):
    __slots__ = ("of",)
    OF_FIELD_NUMBER: _ClassVar[int]
    of: Attempt
    def __init__(self, of: _Optional[_Union[Attempt, str]] = ...) -> None: ...

class QualityReply(_message.Message):
    __slots__ = ("line", "day", "synthetic", "patients", "without_entry", "without_arm", "without_scores", "time_unit", "instruments", "groups", "numbers", "tallies", "faults", "studies_known", "studies", "attention")
    class Instrument(_message.Message):
        __slots__ = ("name", "rows", "patients", "lowest", "highest", "lower_quartile", "median", "upper_quartile", "mean", "sd", "at_floor", "at_ceiling", "bins", "bin_width", "weeks", "gaps", "gap_median", "quarters", "drift")
        NAME_FIELD_NUMBER: _ClassVar[int]
        ROWS_FIELD_NUMBER: _ClassVar[int]
        PATIENTS_FIELD_NUMBER: _ClassVar[int]
        LOWEST_FIELD_NUMBER: _ClassVar[int]
        HIGHEST_FIELD_NUMBER: _ClassVar[int]
        LOWER_QUARTILE_FIELD_NUMBER: _ClassVar[int]
        MEDIAN_FIELD_NUMBER: _ClassVar[int]
        UPPER_QUARTILE_FIELD_NUMBER: _ClassVar[int]
        MEAN_FIELD_NUMBER: _ClassVar[int]
        SD_FIELD_NUMBER: _ClassVar[int]
        AT_FLOOR_FIELD_NUMBER: _ClassVar[int]
        AT_CEILING_FIELD_NUMBER: _ClassVar[int]
        BINS_FIELD_NUMBER: _ClassVar[int]
        BIN_WIDTH_FIELD_NUMBER: _ClassVar[int]
        WEEKS_FIELD_NUMBER: _ClassVar[int]
        GAPS_FIELD_NUMBER: _ClassVar[int]
        GAP_MEDIAN_FIELD_NUMBER: _ClassVar[int]
        QUARTERS_FIELD_NUMBER: _ClassVar[int]
        DRIFT_FIELD_NUMBER: _ClassVar[int]
        name: str
        rows: int
        patients: int
        lowest: float
        highest: float
        lower_quartile: float
        median: float
        upper_quartile: float
        mean: float
        sd: float
        at_floor: float
        at_ceiling: float
        bins: _containers.RepeatedScalarFieldContainer[int]
        bin_width: int
        weeks: _containers.RepeatedCompositeFieldContainer[QualityReply.Week]
        gaps: _containers.RepeatedCompositeFieldContainer[ImportLine.Tally]
        gap_median: float
        quarters: _containers.RepeatedCompositeFieldContainer[QualityReply.Quarter]
        drift: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, name: _Optional[str] = ..., rows: _Optional[int] = ..., patients: _Optional[int] = ..., lowest: _Optional[float] = ..., highest: _Optional[float] = ..., lower_quartile: _Optional[float] = ..., median: _Optional[float] = ..., upper_quartile: _Optional[float] = ..., mean: _Optional[float] = ..., sd: _Optional[float] = ..., at_floor: _Optional[float] = ..., at_ceiling: _Optional[float] = ..., bins: _Optional[_Iterable[int]] = ..., bin_width: _Optional[int] = ..., weeks: _Optional[_Iterable[_Union[QualityReply.Week, _Mapping]]] = ..., gaps: _Optional[_Iterable[_Union[ImportLine.Tally, _Mapping]]] = ..., gap_median: _Optional[float] = ..., quarters: _Optional[_Iterable[_Union[QualityReply.Quarter, _Mapping]]] = ..., drift: _Optional[_Iterable[str]] = ...) -> None: ...
    class Week(_message.Message):
        __slots__ = ("week", "scored", "followed")
        WEEK_FIELD_NUMBER: _ClassVar[int]
        SCORED_FIELD_NUMBER: _ClassVar[int]
        FOLLOWED_FIELD_NUMBER: _ClassVar[int]
        week: int
        scored: int
        followed: int
        def __init__(self, week: _Optional[int] = ..., scored: _Optional[int] = ..., followed: _Optional[int] = ...) -> None: ...
    class Quarter(_message.Message):
        __slots__ = ("name", "patients", "first_mean", "first_error", "later")
        NAME_FIELD_NUMBER: _ClassVar[int]
        PATIENTS_FIELD_NUMBER: _ClassVar[int]
        FIRST_MEAN_FIELD_NUMBER: _ClassVar[int]
        FIRST_ERROR_FIELD_NUMBER: _ClassVar[int]
        LATER_FIELD_NUMBER: _ClassVar[int]
        name: str
        patients: int
        first_mean: float
        first_error: float
        later: float
        def __init__(self, name: _Optional[str] = ..., patients: _Optional[int] = ..., first_mean: _Optional[float] = ..., first_error: _Optional[float] = ..., later: _Optional[float] = ...) -> None: ...
    class Group(_message.Message):
        __slots__ = ("of", "level", "patients", "small")
        OF_FIELD_NUMBER: _ClassVar[int]
        LEVEL_FIELD_NUMBER: _ClassVar[int]
        PATIENTS_FIELD_NUMBER: _ClassVar[int]
        SMALL_FIELD_NUMBER: _ClassVar[int]
        of: str
        level: str
        patients: int
        small: bool
        def __init__(self, of: _Optional[str] = ..., level: _Optional[str] = ..., patients: _Optional[int] = ..., small: _Optional[bool] = ...) -> None: ...
    class NumberVariable(_message.Message):
        __slots__ = ("name", "known", "lower_quartile", "median", "upper_quartile", "impossible")
        NAME_FIELD_NUMBER: _ClassVar[int]
        KNOWN_FIELD_NUMBER: _ClassVar[int]
        LOWER_QUARTILE_FIELD_NUMBER: _ClassVar[int]
        MEDIAN_FIELD_NUMBER: _ClassVar[int]
        UPPER_QUARTILE_FIELD_NUMBER: _ClassVar[int]
        IMPOSSIBLE_FIELD_NUMBER: _ClassVar[int]
        name: str
        known: int
        lower_quartile: float
        median: float
        upper_quartile: float
        impossible: int
        def __init__(self, name: _Optional[str] = ..., known: _Optional[int] = ..., lower_quartile: _Optional[float] = ..., median: _Optional[float] = ..., upper_quartile: _Optional[float] = ..., impossible: _Optional[int] = ...) -> None: ...
    class Fault(_message.Message):
        __slots__ = ("file", "code", "column", "reason", "remedy", "rows", "set_aside")
        FILE_FIELD_NUMBER: _ClassVar[int]
        CODE_FIELD_NUMBER: _ClassVar[int]
        COLUMN_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        REMEDY_FIELD_NUMBER: _ClassVar[int]
        ROWS_FIELD_NUMBER: _ClassVar[int]
        SET_ASIDE_FIELD_NUMBER: _ClassVar[int]
        file: str
        code: str
        column: str
        reason: str
        remedy: str
        rows: int
        set_aside: bool
        def __init__(self, file: _Optional[str] = ..., code: _Optional[str] = ..., column: _Optional[str] = ..., reason: _Optional[str] = ..., remedy: _Optional[str] = ..., rows: _Optional[int] = ..., set_aside: _Optional[bool] = ...) -> None: ...
    class StudyFit(_message.Message):
        __slots__ = ("name", "title", "inside", "with_outcome", "faults")
        NAME_FIELD_NUMBER: _ClassVar[int]
        TITLE_FIELD_NUMBER: _ClassVar[int]
        INSIDE_FIELD_NUMBER: _ClassVar[int]
        WITH_OUTCOME_FIELD_NUMBER: _ClassVar[int]
        FAULTS_FIELD_NUMBER: _ClassVar[int]
        name: str
        title: str
        inside: int
        with_outcome: int
        faults: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., inside: _Optional[int] = ..., with_outcome: _Optional[int] = ..., faults: _Optional[_Iterable[str]] = ...) -> None: ...
    LINE_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    SYNTHETIC_FIELD_NUMBER: _ClassVar[int]
    PATIENTS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_ENTRY_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_ARM_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_SCORES_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIT_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    TALLIES_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    STUDIES_KNOWN_FIELD_NUMBER: _ClassVar[int]
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    ATTENTION_FIELD_NUMBER: _ClassVar[int]
    line: ImportLine
    day: int
    synthetic: bool
    patients: int
    without_entry: int
    without_arm: int
    without_scores: int
    time_unit: str
    instruments: _containers.RepeatedCompositeFieldContainer[QualityReply.Instrument]
    groups: _containers.RepeatedCompositeFieldContainer[QualityReply.Group]
    numbers: _containers.RepeatedCompositeFieldContainer[QualityReply.NumberVariable]
    tallies: _containers.RepeatedCompositeFieldContainer[ImportLine.Tally]
    faults: _containers.RepeatedCompositeFieldContainer[QualityReply.Fault]
    studies_known: bool
    studies: _containers.RepeatedCompositeFieldContainer[QualityReply.StudyFit]
    attention: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, line: _Optional[_Union[ImportLine, _Mapping]] = ..., day: _Optional[int] = ..., synthetic: _Optional[bool] = ..., patients: _Optional[int] = ..., without_entry: _Optional[int] = ..., without_arm: _Optional[int] = ..., without_scores: _Optional[int] = ..., time_unit: _Optional[str] = ..., instruments: _Optional[_Iterable[_Union[QualityReply.Instrument, _Mapping]]] = ..., groups: _Optional[_Iterable[_Union[QualityReply.Group, _Mapping]]] = ..., numbers: _Optional[_Iterable[_Union[QualityReply.NumberVariable, _Mapping]]] = ..., tallies: _Optional[_Iterable[_Union[ImportLine.Tally, _Mapping]]] = ..., faults: _Optional[_Iterable[_Union[QualityReply.Fault, _Mapping]]] = ..., studies_known: _Optional[bool] = ..., studies: _Optional[_Iterable[_Union[QualityReply.StudyFit, _Mapping]]] = ..., attention: _Optional[_Iterable[str]] = ...) -> None: ...

class ReadinessPageRequest(_message.Message):
    __slots__ = ("of", "session")
    OF_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    of: Attempt
    session: str
    def __init__(self, of: _Optional[_Union[Attempt, str]] = ..., session: _Optional[str] = ...) -> None: ...

class ReadinessPageReply(_message.Message):
    __slots__ = ("html",)
    HTML_FIELD_NUMBER: _ClassVar[int]
    html: bytes
    def __init__(self, html: _Optional[bytes] = ...) -> None: ...

class QuarantineRequest(_message.Message):
    __slots__ = ("session", "of", "file", "code", "after")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    session: str
    of: Attempt
    file: str
    code: str
    after: int
    def __init__(self, session: _Optional[str] = ..., of: _Optional[_Union[Attempt, str]] = ..., file: _Optional[str] = ..., code: _Optional[str] = ..., after: _Optional[int] = ...) -> None: ...

class QuarantineReply(_message.Message):
    __slots__ = ("rows", "total")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[AsideRow]
    total: int
    def __init__(self, rows: _Optional[_Iterable[_Union[AsideRow, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class AsideRow(_message.Message):
    __slots__ = ("file", "row", "column", "code", "reason", "remedy")
    FILE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    file: str
    row: int
    column: str
    code: str
    reason: str
    remedy: str
    def __init__(self, file: _Optional[str] = ..., row: _Optional[int] = ..., column: _Optional[str] = ..., code: _Optional[str] = ..., reason: _Optional[str] = ..., remedy: _Optional[str] = ...) -> None: ...

class ConsentRequest(_message.Message):
    __slots__ = ("of",)
    OF_FIELD_NUMBER: _ClassVar[int]
    of: Attempt
    def __init__(self, of: _Optional[_Union[Attempt, str]] = ...) -> None: ...

class ConsentReply(_message.Message):
    __slots__ = ("line", "day", "named", "consenting", "withdrawn", "not_begun", "without", "sensitive_patients", "sensitive_rows", "free_text_cells", "free_text")
    LINE_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    NAMED_FIELD_NUMBER: _ClassVar[int]
    CONSENTING_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_FIELD_NUMBER: _ClassVar[int]
    NOT_BEGUN_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_PATIENTS_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_ROWS_FIELD_NUMBER: _ClassVar[int]
    FREE_TEXT_CELLS_FIELD_NUMBER: _ClassVar[int]
    FREE_TEXT_FIELD_NUMBER: _ClassVar[int]
    line: ImportLine
    day: int
    named: bool
    consenting: int
    withdrawn: int
    not_begun: int
    without: int
    sensitive_patients: int
    sensitive_rows: int
    free_text_cells: int
    free_text: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, line: _Optional[_Union[ImportLine, _Mapping]] = ..., day: _Optional[int] = ..., named: _Optional[bool] = ..., consenting: _Optional[int] = ..., withdrawn: _Optional[int] = ..., not_begun: _Optional[int] = ..., without: _Optional[int] = ..., sensitive_patients: _Optional[int] = ..., sensitive_rows: _Optional[int] = ..., free_text_cells: _Optional[int] = ..., free_text: _Optional[_Iterable[str]] = ...) -> None: ...
