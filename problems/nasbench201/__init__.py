"""NAS-Bench-201: a space whose 15,625 networks have all been trained (Dong and Yang, 2020)."""
