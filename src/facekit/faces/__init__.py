"""What masks and photos of faces show, computed from pixels alone. Imports neither torch nor SciPy."""

from facekit.faces.sides import SIDES_VERSION, exchange_sides, exchanged_sides

__all__ = ["SIDES_VERSION", "exchange_sides", "exchanged_sides"]
