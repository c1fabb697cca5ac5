"""What networks are judged by. torch, no pymoo."""
