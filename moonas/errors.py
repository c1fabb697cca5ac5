"""The exception that ends a run in which nothing could be evaluated or trained."""


class SearchFailed(RuntimeError):
    """A run cannot continue: the evaluation of every candidate failed, or training diverged."""
