"""What each command does; a command imports no other."""
