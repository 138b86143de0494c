"""Benchmarks: each measures ratios in one run and ends with one line of JSON."""
