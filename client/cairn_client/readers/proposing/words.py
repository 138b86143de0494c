"""What clinics call things, in English, German, Dutch and French; and what Cairn calls them."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

ROLES: Final[dict[str, str]] = {
    "patient": "patient patientid patientnr patientno patientnumber pat patnr patid patno patnum "
    "patientennummer patientennr patientenid patientin pid fallnr fallnummer klient klientnr "
    "client clientid clientnr clientnummer clientnumber subject subjectid id code pseudonym mrn "
    "nhsnumber personid patientnummer patientcode numeropatient numpatient nopatient idpatient "
    "ipp ncpatient dossier clientcode participant participantid",
    "date": "date datum tag day dat visitdate assessmentdate testdate dateofassessment completed "
    "completedon completiondate erhebungsdatum messdatum untersuchungsdatum ausfulldatum "
    "testdatum datumbogen afnamedatum meetdatum invuldatum datepassation dateevaluation datetest "
    "dateremplissage dateduquestionnaire jour administered",
    "week": "week weeks weeknumber weekno weeknr woche wochen wochennr weken semaine semaines wk",
    "month": "month months monat monate maand maanden mois",
    "instrument": "instrument questionnaire measure scale test form assessment tool bogen "
    "fragebogen skala messinstrument verfahren testverfahren vragenlijst meetinstrument lijst "
    "schaal echelle outil formulaire nomduquestionnaire questionnairename instrumentname",
    "value": "value score total totalscore sum sumscore points result rawscore wert summe "
    "summenwert summenscore gesamtwert gesamtscore gesamtsumme punkte punktwert punktzahl rohwert "
    "ergebnis waarde totaal totaalscore somscore ruwescore uitslag resultaat valeur scoretotal "
    "totalpoints resultat somme",
    "item": "item itemnr itemno itemnumber question questionnr frage fragenr fragenummer "
    "itemnummer vraag vraagnr numeroquestion",
    "arm": "arm group treatment allocation condition studyarm intervention gruppe behandlung "
    "bedingung studienarm therapie angebot massnahme groep behandeling conditie interventie "
    "groupe traitement bras priseencharge programme program",
    "entry": "entry entrydate referral referraldate referred datereferred listed listingdate "
    "waitinglistdate dateonlist admission admissiondate aufnahme aufnahmedatum anmeldung "
    "anmeldedatum zuweisung zuweisungsdatum wartelisteseit eintritt eintrittsdatum aanmelding "
    "aanmelddatum aanmeldingsdatum intake intakedatum inschrijfdatum opname entree dateentree "
    "inclusion dateinclusion datedinclusion dateadmission admissionle inscription dateinscription",
    "discharge": "discharge dischargedate discharged left dateleft entlassung entlassdatum "
    "entlassungsdatum austritt austrittsdatum abschluss abschlussdatum ontslag ontslagdatum "
    "uitschrijving uitschrijfdatum einddatum sortie datesortie datedesortie",
    "consent_begins": "consent consentdate consentgiven consentfrom consentstart dateofconsent "
    "einwilligung einwilligungsdatum einwilligungam einwilligungab toestemming toestemmingsdatum "
    "toestemmingvanaf consentement dateconsentement dateduconsentement",
    "consent_ends": "withdrawn withdrawal withdrawaldate consentwithdrawn consentuntil consentend "
    "revoked revokedon widerruf widerrufsdatum widerrufenam einwilligungbis ingetrokken intrekking "
    "intrekkingsdatum toestemmingtot retrait dateretrait dateduretrait",
    # of a file that says in its name that it is about consent
    "begins": "begins begin from start startdate validfrom given givenon date datum von ab beginn "
    "gultigab van vanaf begindatum debut du datedebut depuis",
    "ends": "ends end until enddate to validuntil bis ende gultigbis tot einde einddatum fin "
    "datefin au jusquau",
    "sensitive": "sensitive sensitivity part2 cfr42part2 42cfrpart2 confidential restricted sud "
    "substanceuse substanceusedisorder sensibel sucht suchthilfe suchtprogramm sperrvermerk "
    "gesperrt gevoelig vertrouwelijk verslaving verslavingszorg sensible confidentiel addiction "
    "addictologie",
    "measure": "measure event indicator variable merkmal ereignis messgrosse kenmerk gebeurtenis "
    "maat mesure indicateur evenement kennzahl",
    "coverage": "coverage abdeckung dekking couverture tragequote",
}
VARIABLES: Final[dict[str, str]] = {
    "sex": "sex gender geschlecht geslacht sexe genre",
    "age": "age alter leeftijd",
    "age_band": "ageband agegroup altersgruppe leeftijdsgroep leeftijdscategorie trancheage",
    "ethnicity": "ethnicity ethnizitat herkunft etniciteit herkomst origine",
    "language": "language sprache muttersprache taal moedertaal langue",
    "education": "education bildung schulabschluss bildungsabschluss opleiding diplome etudes",
    "employment": "employment beschaftigung erwerbsstatus arbeit werk werksituatie emploi",
    "prior_therapy": "priortherapy vortherapie vorbehandlung eerderetherapie therapieanterieure",
    "medication": "medication medikation medikamente medicatie medication medicament medicaments",
    "deprivation": "deprivation deprivationdecile imd imddecile",
    "rurality": "rurality rural landlich stadtland platteland ruralite",
}
_PRIVATE: Final = (
    "name fullname firstname lastname surname forename vorname nachname familienname naam voornaam "
    "achternaam prenom nom nomdefamille birthdate dateofbirth dob geburtsdatum geburtstag "
    "geboortedatum datedenaissance naissance address adresse adres street strasse straat rue zip "
    "zipcode plz postcode postalcode codepostal telefon telephone phone mobile handy email mail "
    "note notes comment comments bemerkung bemerkungen kommentar anmerkung opmerking opmerkingen "
    "remarque remarques commentaire freetext freitext text ahv ahvnummer ssn bsn nir nhsnumber "
    "insurance versichertennummer verzekerdennummer therapist therapeut behandler clinician "
    "behandelaar therapeute diagnosetext"
)
PRIVATE: Final = frozenset(_PRIVATE.split())  # columns that are never proposed
INSTRUMENT_WORDS: Final = {
    "phq9": "PHQ-9",
    "gad7": "GAD-7",
    "wsas": "WSAS",
    "core10": "CORE-10",
    "phq8": "PHQ-8",
    "phq4": "PHQ-4",
    "bdiii": "BDI-II",
    "bdi2": "BDI-II",
    "cesd": "CES-D",
    "pcl5": "PCL-5",
    "isi": "ISI",
    "auditc": "AUDIT-C",
    "442616": "PHQ-9",
    "702746": "GAD-7",
    "720433000": "PHQ-9",
    "445455005": "GAD-7",
    "718583008": "CORE-10",
}
_AROUND: Final = re.compile(
    r"total|score|summenwert|summe|sum|gesamt|wert|punkte|fragebogen|bogen|vragenlijst|"
    r"questionnaire|somme|totaal|som|loinc|snomed|sct"
)
_ARMS: Final = (
    ("waiting", r"wait|wartelist|warteliste|wachtlijst|listedattente|attente|^wl$|^wlc$"),
    ("treatment_as_usual", r"usual|^tau$|^cau$|ublich|standard|regelversorgung|gebruikelijk|"
     r"habituel"),
    ("self_help_book", r"book|buch|boek|livre|biblio|manual|ratgeber"),
    ("blended", r"blended|gemischt|kombiniert|gecombineerd|mixte|combin"),
    ("face_to_face", r"facetoface|^f2f$|inperson|prasenz|vorort|persoonlijk|presentiel|"
     r"psychotherapie"),
    ("dmhi_unguided", r"unguided|ohnebegleit|unbegleitet|onbegeleid|zonderbegeleiding|nonguid|"
     r"nonaccompagn|sansaccompagn|sansguid|selfguided"),
    ("dmhi_guided", r"guided|begleit|begeleid|accompagn|guide|coach"),
)  # fmt: skip
_SENSITIVE: Final = re.compile(
    r"substance|addict|sucht|verslav|alcohol|alkohol|opioid|opiat|42cfr|part2|^sud$|hiv"
)
_PROGRAMMES: Final = r"app|online|digital|dmhi|internet|icbt|ikvt|programm|numeri|ehealth|web"


def plain(header: str) -> str:
    """A header's letters and digits, without accents and case: "Pat.-Nr." → "patnr"."""
    letters = unicodedata.normalize("NFKD", header.replace("ß", "ss")).casefold()
    return "".join(c for c in letters if c.isascii() and c.isalnum())


def _by_word(lists: dict[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for role, words in lists.items():
        for word in words.split():
            found[word] = (*found.get(word, ()), role)
    return found


_ROLE_OF: Final = _by_word(ROLES)
_VARIABLE_OF: Final = _by_word(VARIABLES)


def roles_of(header: str) -> tuple[str, ...]:
    """The roles that a column of this name may have; most have none."""
    return _ROLE_OF.get(plain(header), ())


def says_sensitive(word: str) -> bool:
    """Whether a clinic's word sounds like a programme that the law protects (42 CFR Part 2)."""
    return bool(_SENSITIVE.search(plain(word)))


def says_consent(file: str) -> bool:
    """Whether a file's name says that it is about consent."""
    return bool(re.search(r"consent|einwillig|toestemm", plain(file)))


def variable_of(header: str) -> str | None:
    """Cairn's name of the covariate that a column of this name holds."""
    return _VARIABLE_OF.get(plain(header), (None,))[0]


def instrument_of(word: str) -> tuple[str | None, bool]:
    """The instrument that a clinic's word means, and whether the word says so plainly."""
    text = plain(word)
    bare = _AROUND.sub("", text)
    if bare in INSTRUMENT_WORDS:
        return INSTRUMENT_WORDS[bare], True
    spelled = unicodedata.normalize("NFKD", word).casefold()
    for key, name in INSTRUMENT_WORDS.items():
        letters, digits = re.fullmatch(r"([a-z]*)([0-9]*)", key).groups()  # type: ignore[union-attr]
        if letters and digits:
            if re.search(rf"(?<![a-z]){letters}[^a-z0-9]?{digits}(?![0-9])", spelled):
                return name, False
        elif len(key) > 3 and text.startswith(key):
            return name, False
    return None, False


def arm_of(word: str) -> tuple[str | None, bool]:
    """The arm that a clinic's word means, and whether it says enough to be sure."""
    text = plain(word)
    for arm, pattern in _ARMS:
        if re.search(pattern, text):
            digital = not arm.startswith("dmhi") or bool(re.search(_PROGRAMMES, text))
            return arm, digital
    return ("dmhi_unguided", False) if re.search(_PROGRAMMES, text) else (None, False)
