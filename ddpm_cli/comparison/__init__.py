"""Settings that draw from the same noise, and the images that they are compared with."""
