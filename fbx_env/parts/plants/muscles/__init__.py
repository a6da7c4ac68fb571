"""Muscles: the force of their fibres, and the dynamics of their activation."""
