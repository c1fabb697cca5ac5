"""Settings of a search in digits-table."""

from dataclasses import dataclass
from typing import ClassVar

from moonas.settings import TabularSettings, require, setting

from .space import N_CHOICES

OBJECTIVES = ("error", "test_error", "params", "macs", "latency_ms")


@dataclass(frozen=True, kw_only=True)
class Settings(TabularSettings):
    """Settings of a search in the table."""

    PRESETS: ClassVar[dict[str, dict]] = {"table": {}}

    objectives: tuple[str, ...] = setting(
        ("error", "params"), f"columns to minimise, two or more of {', '.join(OBJECTIVES)}"
    )
    query: str = setting("mean", "errors: the mean of the seeds, or one of them", ("mean", *"012"))
    population: int = setting(20, "candidates that survive a generation", least=1)
    generations: int = setting(15, "generations to run", least=1)

    def __post_init__(self):
        super().__post_init__()
        require(self.data == "digits", self, "data", "digits, which the table is of")
        n = len(N_CHOICES)
        require(self.mutated_genes <= n, self, "mutated_genes", f"at most {n}")
