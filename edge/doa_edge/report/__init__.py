"""A run in a few numbers and pictures: what its lines hold, counted, and drawn as one page.

The way through it: files -> lines (messages) -> counting (spans) -> history -> panels -> page. Only
the standard library is imported, so that a board writes a report without Matplotlib.
"""
