"""Fine-tuning: a run that starts from the weights of a checkpoint, on any images."""
