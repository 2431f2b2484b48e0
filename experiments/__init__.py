"""Accuracy: experiments on models and methods. Importable, not installed.

reproduce   the heads of the paper compared, from rooms to a page
quality     robustness, model cards, confidence, causes of errors, pictures
choices     searches that settled a choice
scenes      the scenes that they share, and the answers to them
"""
