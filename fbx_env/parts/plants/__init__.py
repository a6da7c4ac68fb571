"""Plants: the bodies that commands move."""
