"""Settings of a search in NAS-Bench-201."""

from dataclasses import dataclass
from typing import Any, ClassVar

from moonas.settings import TabularSettings, require, setting

from .space import EDGES


@dataclass(frozen=True, kw_only=True)
class Settings(TabularSettings):
    """Settings of a search in a table of NAS-Bench-201."""

    PRESETS: ClassVar[dict[str, dict[str, Any]]] = {"table": {}}

    data: str = setting("cifar10", "name of the data set that the table was measured on")
    table: str | None = setting(
        None,
        "CSV or npz file of a NAS-Bench-201 table; moonas does not include one",
        free=True,  # a resumed run compares its checksum
    )
    accuracy: str = setting("cifar10_test_200ep", "column of the table with the accuracy (%)")
    params_column: str = setting(
        "mparams_cifar10",
        "column of the table with the parameters; in millions if its name begins with mparams",
    )
    macs_column: str = setting(
        "mflops_cifar10",
        "column of the table with the multiply-adds; in millions if its name begins with mflops "
        "or mmacs",
    )
    objectives: tuple[str, ...] = setting(
        ("error", "params"),
        "columns to minimize, one or more of error, params, macs and the table's latency_* columns",
    )
    population: int = setting(50, "number of candidates that survive each generation", least=1)
    generations: int = setting(20, "number of generations", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        legal = self.mutated_genes <= len(EDGES)
        require(legal, self, "mutated_genes", f"at most {len(EDGES)}")
