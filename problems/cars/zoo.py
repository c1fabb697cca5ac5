"""Published architectures of the DARTS space, as their authors printed them.

Each entry of ``GENOTYPES`` is a normal and a reduction cell. An edge is written operation@state,
and each node has two edges. The genotypes of CARS come from the authors' README; the genotypes of
DARTS and P-DARTS come from the papers and the authors' code.
"""

from __future__ import annotations

from moonas.spaces.genotype import parse_edges

from . import space

SOURCES = {
    "CARS": "Yang et al., CARS, CVPR 2020",
    "DARTS": "Liu et al., DARTS, ICLR 2019",
    "PDARTS": "Chen et al., P-DARTS, ICCV 2019",
}

GENOTYPES = {
    "CARS_A": (
        "skip@0 sep5@1 max3@0 avg3@1 max3@0 max3@1 sep3@0 dil5@2",
        "avg3@0 max3@1 max3@0 skip@1 max3@0 dil5@1 dil5@0 skip@2",
    ),
    "CARS_B": (
        "sep5@0 dil3@1 sep3@0 avg3@2 dil3@0 max3@1 avg3@0 skip@1",
        "sep5@0 skip@1 sep3@0 max3@1 avg3@0 avg3@1 dil3@3 max3@0",
    ),
    "CARS_C": (
        "sep5@0 skip@1 skip@0 skip@1 skip@0 max3@1 sep5@0 sep3@1",
        "max3@1 max3@0 sep5@0 sep5@1 dil5@0 max3@1 sep5@0 dil3@1",
    ),
    "CARS_D": (
        "sep5@0 dil3@1 skip@0 avg3@1 skip@0 max3@1 sep5@0 sep3@1",
        "max3@1 max3@0 max3@0 sep3@1 dil5@0 max3@1 sep5@0 dil3@1",
    ),
    "CARS_E": (
        "sep3@0 sep3@1 skip@0 sep3@2 avg3@1 sep3@2 skip@3 skip@4",
        "skip@0 dil3@1 avg3@0 skip@2 sep3@2 max3@0 avg3@0 sep3@4",
    ),
    "CARS_F": (
        "skip@0 sep5@1 sep5@0 skip@2 sep5@3 max3@0 skip@0 sep3@1",
        "avg3@0 sep5@1 dil3@0 dil5@1 sep5@1 skip@2 max3@0 max3@1",
    ),
    "CARS_G": (
        "max3@0 dil5@1 sep3@0 skip@1 dil5@0 sep5@1 avg3@0 sep3@1",
        "max3@0 sep3@1 sep3@0 sep5@1 sep3@0 skip@1 avg3@0 dil3@1",
    ),
    "CARS_H": (
        "sep5@0 sep3@1 sep3@0 dil5@2 avg3@0 skip@1 sep5@2 max3@0",
        "sep5@0 max3@1 sep3@0 skip@1 dil3@2 max3@0 sep5@0 avg3@3",
    ),
    "CARS_I": (
        "sep3@0 sep3@1 skip@0 sep5@1 skip@2 sep3@3 sep3@0 dil5@4",
        "dil3@0 skip@1 max3@0 max3@2 skip@1 sep5@3 dil3@1 max3@4",
    ),
    "CARS_Lat_A": (
        "skip@0 max3@1 avg3@0 max3@1 skip@2 skip@3 skip@2 skip@3",
        "skip@0 sep5@1 dil5@0 max3@2 skip@0 max3@1 skip@1 avg3@4",
    ),
    "CARS_Lat_B": (
        "skip@0 skip@1 skip@1 dil3@2 skip@2 skip@3 max3@0 max3@2",
        "max3@0 max3@1 skip@1 max3@0 sep3@0 max3@1 dil5@0 avg3@2",
    ),
    "CARS_Lat_C": (
        "skip@0 avg3@1 skip@0 skip@1 max3@1 skip@3 dil3@2 skip@4",
        "skip@0 sep5@1 avg3@1 sep5@2 max3@0 max3@1 dil5@2 skip@4",
    ),
    "CARS_Lat_D": (
        "sep3@0 skip@1 skip@0 skip@1 skip@1 avg3@3 dil3@2 skip@4",
        "dil5@0 sep5@1 avg3@1 sep5@2 max3@0 max3@1 dil5@2 skip@4",
    ),
    "CARS_Lat_E": (
        "dil5@0 skip@1 skip@1 avg3@2 skip@1 avg3@2 skip@0 max3@1",
        "skip@0 dil3@1 sep3@0 sep3@2 dil3@0 avg3@3 sep3@1 sep5@2",
    ),
    "CARS_Lat_F": (
        "sep5@0 skip@1 skip@0 avg3@1 dil3@1 max3@0 skip@0 skip@1",
        "sep5@0 max3@1 sep5@1 skip@2 sep5@0 sep5@1 sep5@3 dil3@4",
    ),
    "CARS_Lat_G": (
        "sep5@0 skip@1 sep3@0 sep5@2 dil3@1 max3@0 skip@0 skip@1",
        "sep5@0 max3@1 sep3@0 avg3@2 sep5@0 sep5@1 sep5@3 dil3@4",
    ),
    "DARTS_V1": (
        "sep3@1 sep3@0 skip@0 sep3@1 skip@0 sep3@1 sep3@0 skip@2",
        "max3@0 max3@1 skip@2 max3@0 max3@0 skip@2 skip@2 avg3@0",
    ),
    "DARTS_V2": (
        "sep3@0 sep3@1 sep3@0 sep3@1 sep3@1 skip@0 skip@0 dil3@2",
        "max3@0 max3@1 skip@2 max3@1 max3@0 skip@2 skip@2 max3@1",
    ),
    "PDARTS": (
        "skip@0 dil3@1 skip@0 sep3@1 sep3@1 sep3@3 sep3@0 dil5@4",
        "avg3@0 sep5@1 sep3@0 dil5@2 max3@0 dil3@1 dil3@1 dil5@3",
    ),
}


def architectures() -> dict[str, space.Architecture]:
    """Return the published architectures by name, in canonical form."""
    return {
        name: space.from_genotype(parse_edges(normal), parse_edges(reduction))
        for name, (normal, reduction) in GENOTYPES.items()
    }


def source(name: str) -> str:
    """Return the paper in which the architecture ``name`` was published."""
    return SOURCES[name.split("_")[0]]
