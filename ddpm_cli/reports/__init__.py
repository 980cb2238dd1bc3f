"""Pages and curves about a run."""
