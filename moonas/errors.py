"""Exceptions that end a run."""


class SearchFailed(RuntimeError):
    """A run cannot continue: every candidate of a population failed, or training diverged."""
