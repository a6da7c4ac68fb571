"""Files: models, checkpoints, histories and the folders of runs."""
