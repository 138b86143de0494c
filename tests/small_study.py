"""The small study that the tests of the command and the engine run."""

STUDY = """
cairn = 1
name = "small"
title = "A small study"
synthetic = true

[outcome]
instrument = "PHQ-9"

[cohort]
arms = ["waiting", "dmhi_unguided", "dmhi_guided"]
planned_patients = 120
largest_clinic = 60

[policy]
clinics = 3
survivors = 3
threshold = 3
colluding = 1

[[questions]]
name = "effect"
kind = "effect"
epsilon = 1.0
week = 8
"""
