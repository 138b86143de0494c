"""Regression from sums: what the families of the question of kind 'regression' are made of."""
