"""Measures, cohorts, questions with their estimators, the trajectory model, synthetic cohorts."""
