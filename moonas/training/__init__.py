"""Training of networks: training steps, epochs, and classifiers trained from scratch."""
