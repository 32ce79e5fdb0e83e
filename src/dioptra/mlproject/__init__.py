"""The MLproject file: entry points, their parameters, the argument list that starts one, and its environment.

The format is MLflow's: https://mlflow.org/docs/latest/ml/projects/
"""

from dioptra.mlproject._command import build_argv
from dioptra.mlproject._model import EntryPoint, Parameter, Project, ProjectWarning, PythonEnv, Requirements
from dioptra.mlproject._parameters import bind, remote_inputs
from dioptra.mlproject._python_env import read_python_env
from dioptra.mlproject._read import read_project

__all__ = [
    "EntryPoint",
    "Parameter",
    "Project",
    "ProjectWarning",
    "PythonEnv",
    "Requirements",
    "bind",
    "build_argv",
    "read_project",
    "read_python_env",
    "remote_inputs",
]
