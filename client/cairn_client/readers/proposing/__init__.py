"""A mapping proposed from a clinic's own data, for its people to check.

    words         what columns, instruments and arms are called in four languages
    dates         how dates are written, and when that cannot be told
    sampling      a file's beginning as text columns, with its encoding and separator
    columns       what kind of values a column holds, and which words may be shown
    roles         which column is what, and which table a file is
    writing       mapping.toml as text, with reasons
    proposal      all of it: `propose`
    of_omop       the same for an OMOP database
    of_fhir       the part [fhir]: fhir_places finds the export, fhir_looking counts it

No patient's value gets into a proposal but words that at least five patients share and that look
like codes; never an identifier or a date.
"""
