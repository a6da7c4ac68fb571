"""Draws: numbers of parts that differ from trial to trial."""
