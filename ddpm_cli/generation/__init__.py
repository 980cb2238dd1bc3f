"""Images by index from a checkpoint, and the folder that they are stored in."""
