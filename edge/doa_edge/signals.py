"""Signals that end a run, as the rest of the device program knows them."""

from doa_core.process.signals import Signals as Signals
