"""ddpm-sample."""
