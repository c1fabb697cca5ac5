"""Metrics of trained networks and of generated images. Imports torch but not pymoo."""
