"""What scripts import from below `prefect.utilities`."""

from . import logging

__all__ = ["logging"]
