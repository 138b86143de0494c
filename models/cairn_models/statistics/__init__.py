"""Estimators: from sums over patients to estimates. They never see a patient."""
