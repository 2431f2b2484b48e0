"""Answers as the tables of other programs."""
