"""Signals: those of `dioptra.flow.signals`."""

from dioptra.flow.signals import *  # noqa: F403
