"""The MLproject file: entry points, their parameters, and the argument list that starts one.

The format is MLflow's: https://mlflow.org/docs/latest/ml/projects/
"""

from dioptra.mlproject._command import build_argv
from dioptra.mlproject._model import EntryPoint, Parameter, Project, ProjectWarning
from dioptra.mlproject._parameters import bind, remote_inputs
from dioptra.mlproject._read import read_project

__all__ = [
    "EntryPoint",
    "Parameter",
    "Project",
    "ProjectWarning",
    "bind",
    "build_argv",
    "read_project",
    "remote_inputs",
]
