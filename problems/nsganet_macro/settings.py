"""Settings of a search in the macro space of NSGA-Net."""

from dataclasses import dataclass
from typing import Any, ClassVar

from moonas.evaluators.settings import OBJECTIVES, ProxySettings
from moonas.settings import setting
from moonas.training.settings import Settings as ClassifierTrainingSettings
from moonas.training.settings import presets_without


@dataclass(frozen=True, kw_only=True)
class Settings(ProxySettings):
    """Settings of a search in the macro space; the defaults suit a short search on digits."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
        "digits": {},
        # Section G.3: CIFAR-10, with 40,000 training and 10,000 validation images. The paper
        # does not print the batch size, learning rate and width. The batch size and learning rate
        # are those of its search for blocks; the width is a choice of this implementation.
        "paper": dict(
            data="cifar10",
            population=40,
            generations=30,
            proxy_epochs=20,
            batch=128,
            learning_rate=0.025,
            channels=32,
            score_batch=500,
        ),
    }

    objectives: tuple[str, ...] = setting(
        ("error", "robustness_error"),
        f"columns to minimize, one or more of {', '.join(OBJECTIVES)}",
    )
    population: int = setting(20, "number of architectures that survive each generation", least=1)
    generations: int = setting(10, "number of generations", least=1)
    mutation: float = setting(0.1, "probability that a bit flips", above=0, most=1)
    channels: int = setting(8, "number of channels of every node", least=1)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(ClassifierTrainingSettings):
    """Settings for training a network of the macro space from scratch.

    Its networks have no cells, so there is no number of cells, no auxiliary classifier and no path
    dropout; ``channels`` is the number of channels of every node.
    """

    NETWORK: ClassVar[tuple[str, ...]] = ("channels",)
    PRESETS: ClassVar[dict[str, dict[str, Any]]] = presets_without(
        "channels", "layers", "auxiliary", "drop_path"
    )
