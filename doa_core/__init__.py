"""The signal contract that training and device share: numpy and the standard library only.

Axes are x forward, y left, z up. Angles are radians. Audio is AmbiX (W, Y, Z, X; SN3D).
See docs/conventions.md.
"""
