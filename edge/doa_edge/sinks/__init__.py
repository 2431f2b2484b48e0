"""Where directions go: lines, files, the terminal, a picture, and other programs.

Every sink takes the same messages, the objects that `doa_edge run` prints: estimates, which have
the key `azimuth_deg`, and events, which have the key `event`.
"""
