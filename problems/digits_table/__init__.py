"""digits-table: 1,350 networks for digits, all of them trained, three seeds each."""
