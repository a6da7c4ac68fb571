"""Interventions on a network: changes of its units and of its weights."""
