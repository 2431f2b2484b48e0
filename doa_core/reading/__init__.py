"""One reader with limits for each kind of file: TOML, JSON, CSV, zip archives, NumPy arrays.

What a person or an attacker wrote is bounded before it costs time or memory, and whatever a library
raises over it becomes one line (`doa_core.errors.as_damage`).
"""
