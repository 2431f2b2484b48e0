"""Localise a voice on a small computer: no TensorFlow, streaming, frame averaging."""
