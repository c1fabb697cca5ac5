"""Training of networks: steps and epochs, and the full training of classifiers."""
