"""Settings of a search in NAS-Bench-Macro."""

from dataclasses import dataclass
from typing import Any, ClassVar

from moonas.settings import TabularSettings, require, setting

from .space import N_CHOICES

OBJECTIVES = ("error", "params", "macs")


@dataclass(frozen=True, kw_only=True)
class Settings(TabularSettings):
    """Settings of a search in NAS-Bench-Macro."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"table": {}}

    data: str = setting("cifar10", "data set of the table, which is always cifar10")
    objectives: tuple[str, ...] = setting(
        ("error", "macs"), f"columns to minimize, one or more of {', '.join(OBJECTIVES)}"
    )
    query: str = setting(
        "mean",
        "errors to look up: means over three trainings, or errors of training 0, 1 or 2",
        ("mean", *"012"),
    )
    population: int = setting(20, "number of candidates that survive each generation", least=1)
    generations: int = setting(25, "number of generations", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.data == "cifar10", self, "data", "cifar10, the data set of the table")
        n = len(N_CHOICES)
        require(self.mutated_genes <= n, self, "mutated_genes", f"at most {n}")
