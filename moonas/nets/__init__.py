"""Neural networks: candidate operations, cells, stand-alone networks, supernets, cost counting."""
