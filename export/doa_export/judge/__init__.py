"""Whether a file still points the same way, and what calibrates its integers."""
