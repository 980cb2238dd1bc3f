"""The files in a run's folder apart from its checkpoints: their names, writers and readers."""
