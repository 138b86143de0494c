"""A clinic's audit log: a chain of hashes of what it did, decided and sent, countersigned."""
