"""Training on an accelerator:

scenes are drawn by processes, mixed and learned by one JAX program.
"""
