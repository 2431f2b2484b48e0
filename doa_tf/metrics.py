"""Keras metrics of directions: mean and median error, accuracy within an angle."""

from __future__ import annotations

from doa_tf.heads.metrics import AccuracyWithin, AngularError, MedianAngularError

__all__ = ["AccuracyWithin", "AngularError", "MedianAngularError"]
