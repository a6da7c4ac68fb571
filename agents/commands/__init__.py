"""The commands of ``python -m agents``, each in a file of its own."""
