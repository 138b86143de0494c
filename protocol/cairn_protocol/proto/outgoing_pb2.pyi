from cairn_protocol.proto import keeper_pb2 as _keeper_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PreviewRequest(_message.Message):
    __slots__ = ("study", "question", "session", "person")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    study: str
    question: str
    session: str
    person: str
    def __init__(self, study: _Optional[str] = ..., question: _Optional[str] = ..., session: _Optional[str] = ..., person: _Optional[str] = ...) -> None: ...

class PreviewReply(_message.Message):
    __slots__ = ("line", "noised", "synthetic", "clinics", "epsilon", "delta", "admits", "records", "no_records", "remedy", "questions")
    LINE_FIELD_NUMBER: _ClassVar[int]
    NOISED_FIELD_NUMBER: _ClassVar[int]
    SYNTHETIC_FIELD_NUMBER: _ClassVar[int]
    CLINICS_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    ADMITS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    NO_RECORDS_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    line: _keeper_pb2.StudyLine
    noised: bool
    synthetic: bool
    clinics: int
    epsilon: float
    delta: float
    admits: str
    records: str
    no_records: str
    remedy: str
    questions: _containers.RepeatedCompositeFieldContainer[QuestionPreview]
    def __init__(self, line: _Optional[_Union[_keeper_pb2.StudyLine, _Mapping]] = ..., noised: _Optional[bool] = ..., synthetic: _Optional[bool] = ..., clinics: _Optional[int] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., admits: _Optional[str] = ..., records: _Optional[str] = ..., no_records: _Optional[str] = ..., remedy: _Optional[str] = ..., questions: _Optional[_Iterable[_Union[QuestionPreview, _Mapping]]] = ...) -> None: ...

class QuestionPreview(_message.Message):
    __slots__ = ("view", "names", "round_bytes", "all_bytes", "own", "not_own")
    VIEW_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    ROUND_BYTES_FIELD_NUMBER: _ClassVar[int]
    ALL_BYTES_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    NOT_OWN_FIELD_NUMBER: _ClassVar[int]
    view: _keeper_pb2.QuestionView
    names: _containers.RepeatedScalarFieldContainer[str]
    round_bytes: int
    all_bytes: int
    own: OwnSum
    not_own: str
    def __init__(self, view: _Optional[_Union[_keeper_pb2.QuestionView, _Mapping]] = ..., names: _Optional[_Iterable[str]] = ..., round_bytes: _Optional[int] = ..., all_bytes: _Optional[int] = ..., own: _Optional[_Union[OwnSum, _Mapping]] = ..., not_own: _Optional[str] = ...) -> None: ...

class OwnSum(_message.Message):
    __slots__ = ("admitted", "contributing", "clipped", "length", "sum", "example", "cells", "example_length")
    ADMITTED_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTING_FIELD_NUMBER: _ClassVar[int]
    CLIPPED_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    SUM_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    EXAMPLE_LENGTH_FIELD_NUMBER: _ClassVar[int]
    admitted: int
    contributing: int
    clipped: int
    length: float
    sum: _containers.RepeatedScalarFieldContainer[float]
    example: _containers.RepeatedScalarFieldContainer[float]
    cells: _containers.RepeatedCompositeFieldContainer[PeopleIn]
    example_length: float
    def __init__(self, admitted: _Optional[int] = ..., contributing: _Optional[int] = ..., clipped: _Optional[int] = ..., length: _Optional[float] = ..., sum: _Optional[_Iterable[float]] = ..., example: _Optional[_Iterable[float]] = ..., cells: _Optional[_Iterable[_Union[PeopleIn, _Mapping]]] = ..., example_length: _Optional[float] = ...) -> None: ...

class PeopleIn(_message.Message):
    __slots__ = ("cell", "people")
    CELL_FIELD_NUMBER: _ClassVar[int]
    PEOPLE_FIELD_NUMBER: _ClassVar[int]
    cell: str
    people: float
    def __init__(self, cell: _Optional[str] = ..., people: _Optional[float] = ...) -> None: ...

class SentRequest(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: str
    def __init__(self, study: _Optional[str] = ...) -> None: ...

class SentReply(_message.Message):
    __slots__ = ("uploads",)
    UPLOADS_FIELD_NUMBER: _ClassVar[int]
    uploads: _containers.RepeatedCompositeFieldContainer[SentUpload]
    def __init__(self, uploads: _Optional[_Iterable[_Union[SentUpload, _Mapping]]] = ...) -> None: ...

class SentUpload(_message.Message):
    __slots__ = ("study", "name", "question", "round", "attempt", "at", "bytes", "sha256", "upload", "epsilon", "run")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    study: str
    name: str
    question: str
    round: int
    attempt: int
    at: int
    bytes: int
    sha256: str
    upload: str
    epsilon: float
    run: str
    def __init__(self, study: _Optional[str] = ..., name: _Optional[str] = ..., question: _Optional[str] = ..., round: _Optional[int] = ..., attempt: _Optional[int] = ..., at: _Optional[int] = ..., bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., upload: _Optional[str] = ..., epsilon: _Optional[float] = ..., run: _Optional[str] = ...) -> None: ...
