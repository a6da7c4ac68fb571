"""Loads: the forces of the world on the effector."""
