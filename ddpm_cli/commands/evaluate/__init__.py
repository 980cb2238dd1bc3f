"""ddpm-eval."""

