"""Training of networks: steps and epochs, and the training of classifiers from scratch."""
