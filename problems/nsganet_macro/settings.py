"""Settings of a search in NSGA-Net's macro space."""

from dataclasses import dataclass
from typing import ClassVar

from moonas.evaluators.settings import OBJECTIVES, ProxySettings
from moonas.settings import setting


@dataclass(frozen=True, kw_only=True)
class Settings(ProxySettings):
    """Settings of a search for connections. Defaults are small, for digits."""

    PRESETS: ClassVar[dict[str, dict]] = {
        "digits": {},
        # Section G.3: 40,000 images of CIFAR-10 train, 10,000 validate. Batch, learning rate and
        # width are not printed; the first two are those of the cell search, the width is ours.
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
        f"columns to minimise, two or more of {', '.join(OBJECTIVES)}",
    )
    population: int = setting(20, "architectures that survive a generation", least=1)
    generations: int = setting(10, "generations to run", least=1)
    mutation: float = setting(0.1, "chance of each bit to flip", above=0, most=1)
    channels: int = setting(8, "channels of every node", least=1)
