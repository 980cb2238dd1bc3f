"""Values of pixels."""
