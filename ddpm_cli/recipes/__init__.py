"""Recipes: values for the options that hold `auto`, from the images, the machine and the time."""
