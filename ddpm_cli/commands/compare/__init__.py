"""ddpm-compare."""

