"""Every file of a run's folder: named, written and read here."""
