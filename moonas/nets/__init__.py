"""Neural networks: candidate operations, cells, stand-alone networks, supernets and their costs."""
