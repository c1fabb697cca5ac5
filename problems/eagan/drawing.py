"""PNG files of generated images."""

from moonas.models.generation import save_grid

__all__ = ["save_grid"]
