from cairn_protocol.proto import keeper_pb2 as _keeper_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LeaveStudyRequest(_message.Message):
    __slots__ = ("study", "session", "person")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    study: str
    session: str
    person: str
    def __init__(self, study: _Optional[str] = ..., session: _Optional[str] = ..., person: _Optional[str] = ...) -> None: ...

class LeaveStudyReply(_message.Message):
    __slots__ = ("line", "runs")
    LINE_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    line: _keeper_pb2.StudyLine
    runs: int
    def __init__(self, line: _Optional[_Union[_keeper_pb2.StudyLine, _Mapping]] = ..., runs: _Optional[int] = ...) -> None: ...

class LeaveTeamRequest(_message.Message):
    __slots__ = ("team", "session", "person")
    TEAM_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    team: str
    session: str
    person: str
    def __init__(self, team: _Optional[str] = ..., session: _Optional[str] = ..., person: _Optional[str] = ...) -> None: ...

class LeaveTeamReply(_message.Message):
    __slots__ = ("studies", "runs")
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    studies: _containers.RepeatedCompositeFieldContainer[_keeper_pb2.StudyLine]
    runs: int
    def __init__(self, studies: _Optional[_Iterable[_Union[_keeper_pb2.StudyLine, _Mapping]]] = ..., runs: _Optional[int] = ...) -> None: ...
