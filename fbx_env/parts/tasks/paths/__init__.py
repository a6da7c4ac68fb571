"""Paths that targets follow."""
