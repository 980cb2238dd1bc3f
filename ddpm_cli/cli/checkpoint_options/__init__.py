"""Options that name a checkpoint, resolved before the configuration is composed or read."""
