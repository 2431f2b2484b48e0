"""The heads of the paper on the same data with the same budget:

`python -m experiments.reproduce`.
"""
