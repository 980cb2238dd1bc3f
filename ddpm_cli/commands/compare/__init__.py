"""ddpm-compare."""
