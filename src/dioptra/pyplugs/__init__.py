"""Task plugins: registered Python functions, addressed as package, module and function.

@pyplugs.register
def add_values(x, y): ...

pyplugs.call("my_plugins", "sums", "add_values", x=1, y=2)       # now
pyplugs.call_task("my_plugins", "sums", "add_values", x=1, y=2)  # in the flow that is being built
"""

from dioptra.errors import (
    BasePyPlugsException,
    PluginDefinitionError,
    UnknownPackageError,
    UnknownPluginError,
    UnknownPluginFunctionError,
)
from dioptra.pyplugs._describe import PluginParameter, PluginSignature, signature
from dioptra.pyplugs._factories import (
    call_factory,
    call_task_factory,
    exists_factory,
    funcs_factory,
    get_factory,
    get_task_factory,
    info_factory,
    names_factory,
    signature_factory,
)
from dioptra.pyplugs._lookup import call, exists, funcs, get, info, names
from dioptra.pyplugs._registry import PluginInfo, register, task_nout
from dioptra.pyplugs._tasks import call_task, get_task

__all__ = [
    "BasePyPlugsException",
    "PluginDefinitionError",
    "PluginInfo",
    "PluginParameter",
    "PluginSignature",
    "UnknownPackageError",
    "UnknownPluginError",
    "UnknownPluginFunctionError",
    "call",
    "call_factory",
    "call_task",
    "call_task_factory",
    "exists",
    "exists_factory",
    "funcs",
    "funcs_factory",
    "get",
    "get_factory",
    "get_task",
    "get_task_factory",
    "info",
    "info_factory",
    "names",
    "names_factory",
    "register",
    "signature",
    "signature_factory",
    "task_nout",
]
