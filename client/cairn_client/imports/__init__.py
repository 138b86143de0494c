"""What came of each import: kept sealed beside the records, for the clinic's own people.

    found      a line of the history, and the facts of one import
    store      both, sealed in .cairn
    run        an import that leaves them
    process    the same as a process of its own, which ends
    running    the keeper's side of that process
    view       all of it as messages of records.proto

The keeper reads no file for what its people ask: docs/adr/0017-what-an-import-leaves.md.
"""
