"""Metrics of trained networks and of generated images. torch, no pymoo."""
