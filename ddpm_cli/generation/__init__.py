"""Images by index from a checkpoint, and the folder that stores the images."""
