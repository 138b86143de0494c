from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("cairn",)
    CAIRN_FIELD_NUMBER: _ClassVar[int]
    cairn: bytes
    def __init__(self, cairn: _Optional[bytes] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("clinic", "data", "fingerprint", "team_fingerprint", "version", "epoch", "started_at", "budget", "studies", "last", "registries", "stopped")
    CLINIC_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    TEAM_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    REGISTRIES_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    clinic: str
    data: str
    fingerprint: str
    team_fingerprint: str
    version: str
    epoch: int
    started_at: int
    budget: Budget
    studies: _containers.RepeatedCompositeFieldContainer[StudyLine]
    last: LastRound
    registries: _containers.RepeatedScalarFieldContainer[str]
    stopped: str
    def __init__(self, clinic: _Optional[str] = ..., data: _Optional[str] = ..., fingerprint: _Optional[str] = ..., team_fingerprint: _Optional[str] = ..., version: _Optional[str] = ..., epoch: _Optional[int] = ..., started_at: _Optional[int] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., studies: _Optional[_Iterable[_Union[StudyLine, _Mapping]]] = ..., last: _Optional[_Union[LastRound, _Mapping]] = ..., registries: _Optional[_Iterable[str]] = ..., stopped: _Optional[str] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("spent_epsilon", "cap_epsilon", "delta", "left_share", "releases")
    SPENT_EPSILON_FIELD_NUMBER: _ClassVar[int]
    CAP_EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    LEFT_SHARE_FIELD_NUMBER: _ClassVar[int]
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    spent_epsilon: float
    cap_epsilon: float
    delta: float
    left_share: float
    releases: int
    def __init__(self, spent_epsilon: _Optional[float] = ..., cap_epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., left_share: _Optional[float] = ..., releases: _Optional[int] = ...) -> None: ...

class StudyLine(_message.Message):
    __slots__ = ("digest", "name", "title", "state", "person", "offered_at", "decided_at", "members", "verified", "needed", "unverified", "approved_by", "approvals")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    OFFERED_AT_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    UNVERIFIED_FIELD_NUMBER: _ClassVar[int]
    APPROVED_BY_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    digest: str
    name: str
    title: str
    state: str
    person: str
    offered_at: int
    decided_at: int
    members: int
    verified: int
    needed: int
    unverified: _containers.RepeatedScalarFieldContainer[str]
    approved_by: _containers.RepeatedScalarFieldContainer[str]
    approvals: int
    def __init__(self, digest: _Optional[str] = ..., name: _Optional[str] = ..., title: _Optional[str] = ..., state: _Optional[str] = ..., person: _Optional[str] = ..., offered_at: _Optional[int] = ..., decided_at: _Optional[int] = ..., members: _Optional[int] = ..., verified: _Optional[int] = ..., needed: _Optional[int] = ..., unverified: _Optional[_Iterable[str]] = ..., approved_by: _Optional[_Iterable[str]] = ..., approvals: _Optional[int] = ...) -> None: ...

class LastRound(_message.Message):
    __slots__ = ("study", "question", "round", "attempt", "answered", "at")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    study: str
    question: str
    round: int
    attempt: int
    answered: bool
    at: int
    def __init__(self, study: _Optional[str] = ..., question: _Optional[str] = ..., round: _Optional[int] = ..., attempt: _Optional[int] = ..., answered: _Optional[bool] = ..., at: _Optional[int] = ...) -> None: ...

class OffersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class OffersReply(_message.Message):
    __slots__ = ("studies",)
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    studies: _containers.RepeatedCompositeFieldContainer[StudyLine]
    def __init__(self, studies: _Optional[_Iterable[_Union[StudyLine, _Mapping]]] = ...) -> None: ...

class ShowRequest(_message.Message):
    __slots__ = ("study",)
    STUDY_FIELD_NUMBER: _ClassVar[int]
    study: str
    def __init__(self, study: _Optional[str] = ...) -> None: ...

class StudyView(_message.Message):
    __slots__ = ("line", "purpose", "team", "team_fingerprint", "noised", "synthetic", "epsilon", "delta", "meaning", "questions", "roster", "roster_digest", "roster_version", "colluding", "obstacle", "budget", "source", "remedy", "admits")
    LINE_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    TEAM_FIELD_NUMBER: _ClassVar[int]
    TEAM_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    NOISED_FIELD_NUMBER: _ClassVar[int]
    SYNTHETIC_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    ROSTER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ROSTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    COLLUDING_FIELD_NUMBER: _ClassVar[int]
    OBSTACLE_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    ADMITS_FIELD_NUMBER: _ClassVar[int]
    line: StudyLine
    purpose: str
    team: str
    team_fingerprint: str
    noised: bool
    synthetic: bool
    epsilon: float
    delta: float
    meaning: _containers.RepeatedScalarFieldContainer[str]
    questions: _containers.RepeatedCompositeFieldContainer[QuestionView]
    roster: _containers.RepeatedCompositeFieldContainer[Member]
    roster_digest: str
    roster_version: int
    colluding: int
    obstacle: str
    budget: Budget
    source: str
    remedy: str
    admits: str
    def __init__(self, line: _Optional[_Union[StudyLine, _Mapping]] = ..., purpose: _Optional[str] = ..., team: _Optional[str] = ..., team_fingerprint: _Optional[str] = ..., noised: _Optional[bool] = ..., synthetic: _Optional[bool] = ..., epsilon: _Optional[float] = ..., delta: _Optional[float] = ..., meaning: _Optional[_Iterable[str]] = ..., questions: _Optional[_Iterable[_Union[QuestionView, _Mapping]]] = ..., roster: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., roster_digest: _Optional[str] = ..., roster_version: _Optional[int] = ..., colluding: _Optional[int] = ..., obstacle: _Optional[str] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., source: _Optional[str] = ..., remedy: _Optional[str] = ..., admits: _Optional[str] = ...) -> None: ...

class QuestionView(_message.Message):
    __slots__ = ("name", "kind", "epsilon", "rounds", "values", "bound", "noise_sd", "sum_noise_sd", "asked", "who", "how")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EPSILON_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    BOUND_FIELD_NUMBER: _ClassVar[int]
    NOISE_SD_FIELD_NUMBER: _ClassVar[int]
    SUM_NOISE_SD_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    WHO_FIELD_NUMBER: _ClassVar[int]
    HOW_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    epsilon: float
    rounds: int
    values: int
    bound: float
    noise_sd: float
    sum_noise_sd: float
    asked: str
    who: str
    how: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., epsilon: _Optional[float] = ..., rounds: _Optional[int] = ..., values: _Optional[int] = ..., bound: _Optional[float] = ..., noise_sd: _Optional[float] = ..., sum_noise_sd: _Optional[float] = ..., asked: _Optional[str] = ..., who: _Optional[str] = ..., how: _Optional[str] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("clinic", "fingerprint", "ours", "verified")
    CLINIC_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    OURS_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    clinic: str
    fingerprint: str
    ours: bool
    verified: str
    def __init__(self, clinic: _Optional[str] = ..., fingerprint: _Optional[str] = ..., ours: _Optional[bool] = ..., verified: _Optional[str] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("study", "roster", "state", "person", "session")
    STUDY_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    study: str
    roster: str
    state: str
    person: str
    session: str
    def __init__(self, study: _Optional[str] = ..., roster: _Optional[str] = ..., state: _Optional[str] = ..., person: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class PinTeamRequest(_message.Message):
    __slots__ = ("public",)
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    public: bytes
    def __init__(self, public: _Optional[bytes] = ...) -> None: ...

class PinTeamReply(_message.Message):
    __slots__ = ("fingerprint",)
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    fingerprint: str
    def __init__(self, fingerprint: _Optional[str] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("clinic", "fingerprint", "study", "person", "revoke", "session")
    CLINIC_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    REVOKE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    clinic: str
    fingerprint: str
    study: str
    person: str
    revoke: bool
    session: str
    def __init__(self, clinic: _Optional[str] = ..., fingerprint: _Optional[str] = ..., study: _Optional[str] = ..., person: _Optional[str] = ..., revoke: _Optional[bool] = ..., session: _Optional[str] = ...) -> None: ...

class VerifyReply(_message.Message):
    __slots__ = ("fingerprint", "studies")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    fingerprint: str
    studies: _containers.RepeatedCompositeFieldContainer[StudyLine]
    def __init__(self, fingerprint: _Optional[str] = ..., studies: _Optional[_Iterable[_Union[StudyLine, _Mapping]]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("text", "person", "session")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    text: str
    person: str
    session: str
    def __init__(self, text: _Optional[str] = ..., person: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class ListReply(_message.Message):
    __slots__ = ("registry", "issue", "added", "dropped", "studies")
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    ISSUE_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    STUDIES_FIELD_NUMBER: _ClassVar[int]
    registry: str
    issue: int
    added: int
    dropped: int
    studies: _containers.RepeatedCompositeFieldContainer[StudyLine]
    def __init__(self, registry: _Optional[str] = ..., issue: _Optional[int] = ..., added: _Optional[int] = ..., dropped: _Optional[int] = ..., studies: _Optional[_Iterable[_Union[StudyLine, _Mapping]]] = ...) -> None: ...

class RegistryRequest(_message.Message):
    __slots__ = ("fingerprint", "text", "person", "session")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    fingerprint: str
    text: str
    person: str
    session: str
    def __init__(self, fingerprint: _Optional[str] = ..., text: _Optional[str] = ..., person: _Optional[str] = ..., session: _Optional[str] = ...) -> None: ...

class RegistryReply(_message.Message):
    __slots__ = ("registry", "fingerprint")
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    registry: str
    fingerprint: str
    def __init__(self, registry: _Optional[str] = ..., fingerprint: _Optional[str] = ...) -> None: ...

class LedgerRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: int
    def __init__(self, after: _Optional[int] = ...) -> None: ...

class LedgerReply(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: str
    def __init__(self, lines: _Optional[str] = ...) -> None: ...
