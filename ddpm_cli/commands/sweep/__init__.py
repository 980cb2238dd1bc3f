"""ddpm-sweep."""
