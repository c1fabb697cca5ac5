"""EAGAN: Efficient Two-stage Evolutionary Architecture Search for GANs (Ying et al., ECCV 2022)."""
