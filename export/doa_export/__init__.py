"""Keras checkpoints to verified TFLite files."""
