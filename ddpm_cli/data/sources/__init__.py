"""Sources of images: folders, archives, arrays, tables, and mixtures of these."""
