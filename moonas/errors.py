"""The exception that ends a run in which nothing could be evaluated, and a warning."""


class SearchFailed(RuntimeError):
    """A run cannot continue: the evaluation of every candidate failed, or training diverged."""


class TrainingWarning(UserWarning):
    """A training has learned nothing so far, so scores that depend on it are not meaningful."""
