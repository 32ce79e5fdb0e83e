"""Triggers: those of `dioptra.flow.triggers`."""

from dioptra.flow.triggers import *  # noqa: F403
