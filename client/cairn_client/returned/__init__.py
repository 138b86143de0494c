"""What comes back to a clinic, and what it makes of it by itself. All of it stays here.

findings_store    what the research team signed, sealed
pooled            the released answers in it, and its models
own               this clinic's own figures beside them
courses …         expected courses of its patients, behind three locks (`locks`)
"""
