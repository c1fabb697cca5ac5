"""Networks: candidate operations, cells, stand-alone networks, counting and training. No pymoo."""
