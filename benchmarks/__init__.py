"""Cost: seconds, bytes, instructions.

Each is a ratio against a named alternative in the same run.
"""
