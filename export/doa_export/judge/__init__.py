"""Whether a file still points the same way, and windows to calibrate its integers on."""
