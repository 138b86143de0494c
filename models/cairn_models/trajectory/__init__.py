"""The trajectory model: what a patient's next scores are likely to be, given the weeks so far."""
