"""Callbacks that call functions."""

from moonas.run.callbacks import RunCallback


class On(RunCallback):
    """A callback whose methods are keyword arguments, such as ``On(on_progress=print)``."""

    def __init__(self, **methods):
        vars(self).update(methods)
