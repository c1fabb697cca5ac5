"""digits-table: 1,350 small networks for digits, each trained with three seeds."""
