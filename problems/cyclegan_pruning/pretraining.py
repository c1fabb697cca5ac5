"""Stage 1: a CycleGAN, trained from scratch, whose generators are pruned afterwards."""

from dataclasses import dataclass

from moonas.nets.devices import repeatable, resolve_device
from moonas.run.stage import EpochTraining
from moonas.settings import select
from moonas.training.report import require_a_step

from .data import describe, load_data
from .drawing import draw_strips, score_lines
from .networks import n_patches
from .quality import Quality, check_quality
from .settings import PretrainingSettings
from .training import ADVICE, Recipe, Training, decay, new_gan
from .weights_file import ORIGINAL_FILE, write_gan


def build(**options):
    """The training; ``options`` are fields of :class:`PretrainingSettings`."""
    return Pretraining(PretrainingSettings(**options))


class CycleStage(EpochTraining):
    """Trains a CycleGAN; ``run(seed)`` gives a :class:`Trained`.

    A subclass gives ``begin_with(seed)``, the CycleGAN to start from, on the device, and
    ``images(domain)``, those that train.
    """

    phase = "training the CycleGAN"

    def __init__(self, settings):
        self.settings = settings
        self.info = describe(settings)
        n_patches(settings.d_width, settings.d_layers, self.info.side)
        check_quality(settings)
        self.device = resolve_device(settings.device)

    @property
    def n_epochs(self):
        """Epochs, those with a falling learning rate included."""
        return self.settings.epochs + self.settings.decay_epochs

    def start(self, seed):
        """A CycleGAN with its images, in training."""
        return _InTraining(self, seed)

    @staticmethod
    def line(epoch, metrics):
        """What an epoch reported, as a line of text."""
        losses = ("GAN loss", "gan"), ("cycle", "cycle"), ("identity", "identity")
        words = ", ".join(f"{words} {metrics[f'{name}_loss']:.3f}" for words, name in losses)
        return f"  epoch {epoch + 1:>3}: {words}, discriminators {metrics['d_loss']:.3f}"

    @staticmethod
    def result(training, scores):
        """A :class:`Trained`."""
        return Trained(training.gan, scores)


class _InTraining(Training):
    """The CycleGAN of a stage, and who judges it.

    Args:
        stage: a :class:`CycleStage`.
        seed: of the run.
    """

    def __init__(self, stage, seed):
        self.settings = stage.settings
        data = load_data(stage.settings, stage.info)
        self.quality = stage.quality = Quality(stage.settings, stage.info, data, stage.device)
        images = {k: stage.images(domain).to(stage.device) for k, domain in data.items()}
        gan, recipe = stage.begin_with(seed), select(Recipe, stage.settings)
        super().__init__(gan, images, stage.info.side, recipe, seed, stage.phase)

    def train(self, epoch):
        """One epoch; a dict that tells of it."""
        s = self.settings
        with repeatable(s.threads):
            report = self.epoch(decay(epoch, s.epochs, s.decay_epochs))
        require_a_step(report, advice=ADVICE)
        return report.as_dict()

    def evaluate(self):
        """Scores of the generators, a dict."""
        return self.quality.evaluate(self.gan.generators)


@dataclass(frozen=True)
class Trained:
    """What a training ended with.

    Args:
        gan: a :class:`~moonas.problems.cyclegan_pruning.training.CycleGAN`.
        scores: a dict, see :meth:`~moonas.problems.cyclegan_pruning.quality.Quality.evaluate`.
    """

    gan: object
    scores: dict


class Pretraining(CycleStage):
    """A CycleGAN from scratch."""

    description = "training a CycleGAN"

    def begin_with(self, seed):
        """An untrained CycleGAN."""
        return new_gan(seed, self.device, **self.settings.network_shape)

    @staticmethod
    def images(domain):
        """Those that train; the others validate in the search to come."""
        return domain.train

    def report(self, trained, folder):
        """Write cyclegan.pt and translations.png; the lines to print."""
        write_gan(folder / ORIGINAL_FILE, trained.gan, self.settings, self.info)
        draw_strips(self.quality, trained.gan.generators, None, folder / "translations.png")
        return score_lines({"original": trained.scores})
