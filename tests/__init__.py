"""The tests; `python -m tests.house` measures the code."""
