"""Training on an accelerator: processes draw scenes, one JAX program mixes and learns them."""
