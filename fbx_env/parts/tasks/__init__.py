"""Tasks: the trials there are, and what each asks for."""
