"""The heads of the paper compared: `python -m experiments.reproduce`."""
