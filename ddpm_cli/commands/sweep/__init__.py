"""ddpm-sweep."""

