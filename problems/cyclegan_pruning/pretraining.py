"""Stage 1: a CycleGAN, trained from scratch, whose generators are pruned afterwards."""

from dataclasses import dataclass

from moonas.nets.devices import repeatable, resolve_device
from moonas.problem import SearchFailed
from moonas.settings import setting
from moonas.stage import Preparation

from .data import describe, load_data
from .drawing import draw_strips, score_lines
from .quality import Quality
from .settings import ORIGINAL, CycleSettings
from .training import Recipe, Training, decay, new_gan
from .weights_file import ORIGINAL as FILE
from .weights_file import write_gan


@dataclass(frozen=True, kw_only=True)
class EpochSettings(CycleSettings):
    """How long a CycleGAN trains."""

    epochs: int = setting(20, "epochs at the full learning rate", least=0)
    decay_epochs: int = setting(20, "epochs after them, in which it falls linearly", least=0)

    @property
    def all_epochs(self):
        """Epochs from the first to the last."""
        return self.epochs + self.decay_epochs


@dataclass(frozen=True, kw_only=True)
class Settings(EpochSettings):
    """What the training of a CycleGAN can be told; the defaults suit digits and are small."""


# The original's: 100 epochs and 100 more in which the learning rate falls.
PRESETS = {"digits": {}, "paper": ORIGINAL | dict(epochs=100, decay_epochs=100)}


def build(**options):
    """The training; ``options`` are fields of :class:`Settings`."""
    return Pretraining(Settings(**options))


class CycleStage(Preparation):
    """Trains a CycleGAN, epoch by epoch; ``run(seed)`` gives a :class:`Trained`.

    A subclass gives ``begin_with(seed)``, the CycleGAN to start from, on the device, and
    ``images(domain)``, those that train.
    """

    phase = "training the CycleGAN"

    def __init__(self, settings):
        self.settings = settings
        self.info = describe(settings)
        self.device = resolve_device(settings.device)

    def run(self, seed):
        """Train, or go on with what the journal holds, and judge.

        Raises:
            SearchFailed: no step of an epoch had a finite loss.
        """
        s = self.settings
        self.begin(seed)
        data = load_data(s, self.info)
        self.quality = Quality(s, self.info, data, self.device)
        images = {k: self.images(domain).to(self.device) for k, domain in data.items()}
        gan, recipe = self.begin_with(seed), Recipe.of(s)
        training = Training(gan, images, self.info.side, recipe, seed, self.phase)
        for epoch in range(s.all_epochs):
            self.tell(self.phase, epoch, s.all_epochs, "epochs")
            report = self.recorded(
                "train", {"epoch": epoch}, lambda e=epoch: self._epoch(training, e), training, True
            )
            if epoch % 10 == 9:
                self.say(epoch_line(epoch, report))
        self.tell(self.phase, s.all_epochs, s.all_epochs, "epochs")
        scores = self.recorded("final test", {}, lambda: self.judge(training), training)
        if self.journal is not None:
            self.journal.settle(training)
        return Trained(gan, scores)

    def _epoch(self, training, epoch):
        s = self.settings
        with repeatable(s.threads):
            report = training.epoch(decay(epoch, s.epochs, s.decay_epochs))
        if not report.steps:
            raise SearchFailed(
                "No step of an epoch had a finite loss and gradient. Lower learning_rate."
            )
        return report.as_dict()

    def judge(self, training):
        """Scores of the generators, a dict."""
        return self.quality.judge(training.gan.generators)


def epoch_line(epoch, report):
    """What an epoch reported, as a line of text."""
    return (
        f"  epoch {epoch + 1:>3}: GAN loss {report['gan_loss']:.3f}, cycle "
        f"{report['cycle_loss']:.3f}, identity {report['identity_loss']:.3f}, discriminators "
        f"{report['d_loss']:.3f}"
    )


@dataclass(frozen=True)
class Trained:
    """What a training ended with.

    Args:
        gan: a :class:`~problems.cyclegan_pruning.training.CycleGAN`.
        scores: a dict, see :meth:`~problems.cyclegan_pruning.quality.Quality.judge`.
    """

    gan: object
    scores: dict


class Pretraining(CycleStage):
    """A CycleGAN from scratch."""

    in_words = "training a CycleGAN"

    def begin_with(self, seed):
        """An untrained CycleGAN."""
        return new_gan(seed, self.device, **self.settings.network_shape)

    @staticmethod
    def images(domain):
        """Those that train; the others validate in the search to come."""
        return domain.train

    def report(self, trained, folder):
        """Write cyclegan.pt and translations.png; the lines to print."""
        write_gan(folder / FILE, trained.gan, self.settings, self.info)
        draw_strips(self.quality, trained.gan.generators, None, folder / "translations.png")
        return score_lines({"original": trained.scores})
