"""Losses: the cost of a control step, term by term."""
