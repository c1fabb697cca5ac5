"""EG-DARTS: cells by enhanced gradient, then depth and width of their network."""
