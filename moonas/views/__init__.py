"""Pages, pictures and tables of runs."""
