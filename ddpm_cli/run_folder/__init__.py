"""The files of a run's folder beside its checkpoints: named, written and read here."""
