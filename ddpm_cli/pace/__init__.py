"""The pace of a run: what its parts cost, and the steps that follow from the costs."""
