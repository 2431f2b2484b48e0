"""Named areas of the sphere: where they are, and who is in them.

`zone` says which directions belong to an area, `occupancy` who enters and leaves, from one line to
the next, without going back and forth at a border.
"""
