"""`ddpm-export`."""
