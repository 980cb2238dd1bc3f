"""ddpm-data."""
