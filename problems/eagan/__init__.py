"""EAGAN: efficient two-stage evolutionary architecture search for GANs (Ying et al., ECCV 2022)."""
