"""`ddpm-import`."""
