"""ddpm-train."""
