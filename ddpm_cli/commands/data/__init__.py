"""ddpm-data."""

