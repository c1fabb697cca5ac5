"""EG-DARTS: a gradient-based search for cells, then a search for network depth and width."""
