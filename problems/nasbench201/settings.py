"""Settings of a search in NAS-Bench-201."""

from dataclasses import dataclass
from typing import ClassVar

from moonas.settings import TabularSettings, require, setting

from .space import EDGES


@dataclass(frozen=True, kw_only=True)
class Settings(TabularSettings):
    """Settings of a search in the table."""

    PRESETS: ClassVar[dict[str, dict]] = {"table": {}}

    data: str = setting("cifar10", "name of the images that the table was measured on")
    table: str | None = setting(
        None,
        "file of a NAS-Bench-201 table, CSV or npz; moonas brings none",
        free=True,  # its content is checked
    )
    accuracy: str = setting("cifar10_test_200ep", "column of the accuracy (%) in the table")
    params_column: str = setting(
        "mparams_cifar10", "column of the parameters; mparams... are millions"
    )
    macs_column: str = setting(
        "mflops_cifar10", "column of the multiply-adds; mflops... are millions"
    )
    objectives: tuple[str, ...] = setting(
        ("error", "params"),
        "columns to minimise, two or more of error, params, macs and the table's latency_...",
    )
    population: int = setting(50, "candidates that survive a generation", least=1)
    generations: int = setting(20, "generations to run", least=1)

    def __post_init__(self):
        super().__post_init__()
        fits = self.mutated_genes <= len(EDGES)
        require(fits, self, "mutated_genes", f"at most {len(EDGES)}")
