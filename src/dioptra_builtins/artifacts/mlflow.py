"""Files of runs: download those of an earlier run, upload those of this one."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from dioptra import pyplugs
from dioptra.errors import BaseTaskPluginError

from .._outputs import output_dir, output_file
from .exceptions import UnsupportedDataFrameFileFormatError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "download_all_artifacts_in_run",
    "upload_data_frame_artifact",
    "upload_directory_as_tarball_artifact",
    "upload_file_as_artifact",
]

_FORMATS = {  # file format: extension, method of the data frame
    "csv": ("csv", "to_csv"),
    "csv.bz2": ("csv.bz2", "to_csv"),
    "csv.gz": ("csv.gz", "to_csv"),
    "csv.xz": ("csv.xz", "to_csv"),
    "feather": ("feather", "to_feather"),
    "json": ("json", "to_json"),
    "pickle": ("pkl", "to_pickle"),
}


@pyplugs.register
def download_all_artifacts_in_run(run_id: str, artifact_path: str, destination_path: str | None = None) -> str:
    """Download a file or folder that an earlier run kept and return its local path.

    Args:
        run_id: Id of the MLflow run.
        artifact_path: Path of the file or folder in the run.
        destination_path: Folder to download to; `run-<run_id>` in the job's output folder by default.

    Raises:
        BaseTaskPluginError: There is no such run, or it has no such artifact.
    """
    client = MlflowClient()
    try:
        client.get_run(run_id)
        folder = output_dir(destination_path or output_dir() / f"run-{run_id}")
        return str(client.download_artifacts(run_id, artifact_path, str(folder)))
    except MlflowException as error:
        raise BaseTaskPluginError(
            f"artifact '{artifact_path}' cannot be downloaded: {error.message}", where=f"run {run_id}"
        ) from error


@pyplugs.register
def upload_data_frame_artifact(
    data_frame: pd.DataFrame,
    file_name: str,
    file_format: str,
    file_format_kwargs: Mapping[str, Any] | None = None,
    working_dir: str | PathLike[str] | None = None,
) -> Path:
    """Write a data frame to a file, keep that as an artifact of the run and return its path.

    Args:
        data_frame: Table to write.
        file_name: Name of the file; its extensions are replaced by those of the format.
        file_format: `csv`, `csv.bz2`, `csv.gz`, `csv.xz`, `feather`, `json` or `pickle` (written as `.pkl`).
        file_format_kwargs: Further arguments of the data frame's method, such as `{"index": False}` for csv.
        working_dir: Folder for the file; the job's output folder by default.

    Raises:
        UnsupportedDataFrameFileFormatError: The format is another one.
    """
    if file_format not in _FORMATS:
        raise UnsupportedDataFrameFileFormatError(
            f"no file format '{file_format}' for data frames", hint=f"have: {', '.join(_FORMATS)}"
        )
    extension, method = _FORMATS[file_format]
    path = output_file(_with_extension(file_name, extension), working_dir)
    getattr(data_frame, method)(path, **dict(file_format_kwargs or {}))
    mlflow.log_artifact(str(path))
    return path


def _with_extension(file_name: str, extension: str) -> str:
    path = Path(file_name)
    stem = path.name.removesuffix("".join(path.suffixes))
    return str(path.with_name(f"{stem}.{extension}")) if stem else ""


@pyplugs.register
def upload_directory_as_tarball_artifact(
    source_dir: str | PathLike[str],
    tarball_filename: str,
    tarball_write_mode: str = "w:gz",
    working_dir: str | PathLike[str] | None = None,
) -> Path:
    """Pack a folder, keep the archive as an artifact of the run and return its path.

    Args:
        source_dir: Folder to pack; the archive holds one folder of that name.
        tarball_filename: Name of the archive, such as `images.tar.gz`.
        tarball_write_mode: `w:gz`, `w:bz2`, `w:xz` or `w`.
        working_dir: Folder for the archive; the job's output folder by default.

    Raises:
        BaseTaskPluginError: There is no such folder, or it holds something other than files and folders.
    """
    source = Path(source_dir).resolve()
    if not source.is_dir():
        raise BaseTaskPluginError(f"there is no folder {source_dir} to pack")
    entries = [source, *sorted(source.rglob("*"))]
    for entry in entries:
        if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
            raise BaseTaskPluginError(f"{entry} is neither file nor folder and cannot be packed")
    path = output_file(tarball_filename, working_dir)
    # Dereferencing keeps the second of two hard links as a file.
    with tarfile.open(path, tarball_write_mode, dereference=True) as archive:  # type: ignore[call-overload]
        for entry in entries:
            archive.add(entry, arcname=entry.relative_to(source.parent), recursive=False)
    mlflow.log_artifact(str(path))
    return path


@pyplugs.register
def upload_file_as_artifact(artifact_path: str | PathLike[str]) -> None:
    """Keep a file as an artifact of the run.

    Args:
        artifact_path: Path of the file.

    Raises:
        BaseTaskPluginError: There is no such file.
    """
    if not Path(artifact_path).is_file():
        raise BaseTaskPluginError(f"there is no file {artifact_path} to upload")
    mlflow.log_artifact(str(artifact_path))
