"""Keras checkpoints to verified TFLite files.

`doa_export.export.export_model` does what the command `doa_export` does.
"""
