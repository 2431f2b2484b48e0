"""Searches that settled a choice, to be run again."""
