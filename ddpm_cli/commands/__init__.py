"""What each command does. No command imports another, but doctor the first half of train."""
