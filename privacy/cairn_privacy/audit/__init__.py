"""The empirical test of a question's real code against its claim: evidence, never proof.

    T0  charge       the ledger is charged once an answer, before records are read, within ε
    T1  pull         noise off: no hostile patient moves a sum by more than the bound, in integers
    T2  noise        empty clinics: the noise that colluders do not know is what was charged
    T3  membership   an attacker who knows all else guesses no better than the claim allows

Nothing here knows a question, a record or a model: `examine` takes a `Subject` made of callables.
Statistical findings count only when three fresh measurements in a row agree, so that a right
mechanism fails less than once in 4,000 runs of a question by guarantee (docs/empirical-test.md).
"""
