"""A callback that calls given functions."""

from moonas.run.callbacks import RunCallback


class CallbackOf(RunCallback):
    """A callback with the given functions as methods: ``CallbackOf(on_progress=print)``."""

    def __init__(self, **methods):
        vars(self).update(methods)
