"""ddpm-tune."""
