"""Signals that stop a process, and locks on the files that a process writes."""
