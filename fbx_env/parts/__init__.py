"""The parts of an experiment, a folder for each role and a file for each class."""
