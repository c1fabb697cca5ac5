"""Errors that end a run."""


class SearchFailed(RuntimeError):
    """A search cannot go on: all candidates of a generation failed, or a training diverged."""
