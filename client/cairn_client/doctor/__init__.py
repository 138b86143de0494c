"""`examine`: what stands between this clinic and taking part, and what to do about it."""

from cairn_client.doctor.examine import examine
from cairn_client.doctor.finding import Finding, Level, Report

__all__ = ["Finding", "Level", "Report", "examine"]
