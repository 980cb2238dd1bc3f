"""ddpm-eval."""
