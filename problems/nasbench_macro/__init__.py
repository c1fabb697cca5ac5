"""NAS-Bench-Macro: all 6,561 networks of eight blocks, trained on CIFAR-10 and tabulated."""
