"""The research team's side: rounds, estimates, results, reports."""
