"""Callbacks from functions."""

from moonas.run.callbacks import RunCallback


class On(RunCallback):
    """A callback whose methods are given by name, as ``On(on_progress=print)``."""

    def __init__(self, **methods):
        vars(self).update(methods)
