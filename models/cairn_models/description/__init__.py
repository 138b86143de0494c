"""What describes a cohort by arm: blocks of one vector, and the numbers that they give back."""
