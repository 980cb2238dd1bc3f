"""ddpm-train."""

