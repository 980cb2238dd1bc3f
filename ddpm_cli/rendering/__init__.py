"""Figures, tiles of images and elements of a page."""
