"""Interruption of trainings between epochs."""


class Interrupted(KeyboardInterrupt):
    """Raised where a test interrupts a training."""


def stop_before(stage, epoch):
    """Make a training raise Interrupted before an epoch."""
    start = stage.start

    def interrupted(seed):
        trainer = start(seed)
        train = trainer.train

        def train_until(number):
            if number == epoch:
                raise Interrupted
            return train(number)

        trainer.train = train_until
        return trainer

    stage.start = interrupted
