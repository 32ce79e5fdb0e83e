"""Task plugins as their source tells: read and checked, never imported.

    read_plugins(Path("plugins/dioptra_custom"), "dioptra_custom").find("get_optimizer").declaration

It needs none of the packages that the plugins need, and runs none of their code.
"""

from dioptra.pyplugs._check import check_plugins
from dioptra.pyplugs._source import ModuleSource, PluginSources, read_plugins
from dioptra.pyplugs._source_function import PluginSource
from dioptra.pyplugs._source_problem import Problem

__all__ = ["ModuleSource", "PluginSource", "PluginSources", "Problem", "check_plugins", "read_plugins"]
