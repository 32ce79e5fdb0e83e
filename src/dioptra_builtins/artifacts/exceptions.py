"""What can go wrong with artifacts."""

from __future__ import annotations

from dioptra.errors import BaseTaskPluginError

__all__ = ["UnsupportedDataFrameFileFormatError"]


class UnsupportedDataFrameFileFormatError(BaseTaskPluginError):
    """A data frame cannot be written in that file format."""

    code = "unsupported-file-format"
