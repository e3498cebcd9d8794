"""Writing new plugins: whole distributions, or single files, that work before the first line is changed."""

from facekit.scaffold.names import PluginName, check_name
from facekit.scaffold.parts import DEFAULT_KINDS, PARTS
from facekit.scaffold.writing import write_distribution, write_single_file

__all__ = ["DEFAULT_KINDS", "PARTS", "PluginName", "check_name", "write_distribution", "write_single_file"]
