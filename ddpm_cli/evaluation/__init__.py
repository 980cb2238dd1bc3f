"""Metrics by name, features of image sets, protocols and likelihoods."""
