"""A process among others: the signals that stop it, and the locks on what it writes."""
