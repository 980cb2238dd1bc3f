"""ddpm-sample."""

