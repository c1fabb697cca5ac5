"""HTML reports, figures and tables of runs."""
