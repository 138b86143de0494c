"""Mechanisms, accounting, the ledger and the statement. No torch, no flwr."""
