"""What each command does. No command imports another; only doctor imports part of train."""
