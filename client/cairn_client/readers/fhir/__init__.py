"""Scores, patients, consent and wearables of FHIR R4 and R5 exports, read without a FHIR library.

mapping     `[fhir]` of mapping.toml: the folder, identifiers, arms, entry, consent, own codes
codes       LOINC, SNOMED CT and UCUM codes that need no mapping
bundles     the entries of a JSON Bundle, one at a time
files       the folder's files, and each resource's bytes with its file and line
elements    what stands in an element, whatever its type: text, codes, dates, references
answers     the text of a value[x]: a number, or an answer's code as its number
responses   QuestionnaireResponse → items and totals
observed    Observation → items, totals and wearables' days
people      Patient, and the resources that say arm, entry and consent
gathered    one pass over the folder: compact tables of all of these
versions    which version of a resource counts
identity    whose a reference is: identifiers, links between records of one patient
scores      raw scores: each questionnaire once, wherever it was exported
wearables   raw wearable weeks out of days
patients    raw patients and consent
source      `with_fhir`: the raw tables that the checks take
"""
