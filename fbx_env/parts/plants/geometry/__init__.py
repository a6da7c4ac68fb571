"""Geometries: how long muscles are, from where the joints are."""
