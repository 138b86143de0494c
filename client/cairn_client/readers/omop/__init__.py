"""Scores and patients of an OMOP common data model 5.4, read by a short-lived process.

mapping     `[omop]` of mapping.toml: where the database is, what means what
address     the database's URL, from a file that only its owner reads, or the environment
session     a read-only transaction with a time limit, and its errors in plain words
schema      the tables and columns that may be read: none holds notes or free text
concepts    vocabulary codes → the database's own concept ids
people      person, entry, arm and variables
scores      measurements and observations of the mapped instruments
importer    the process: connects, reads, writes frames to its output, ends
source      starts it, or asks a socket that does, and takes the frames as raw tables
looking     what a database holds, in counts, for `cairn clinic mapping new`
"""
