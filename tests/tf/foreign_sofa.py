"""SOFA files as other programs write them: any convention, version, dimensions, types and units."""

from __future__ import annotations

import numpy as np

from doa_core.ambisonics import capsule_directions

CAPSULES = capsule_directions()  # (4, 3) of a tetrahedron
GRID = "degree, degree, metre"


def write_foreign(path, responses, dimensions, *, variables=None, attributes=None, **said):
    """Write a file by netCDF4 and return its path.

    Args:
        path: of the file.
        responses: Data.IR.
        dimensions: a letter an axis of them, such as "MRN".
        variables: values, or (values, type, units), by the names of other variables; None leaves
            one out. Type and units that are None are not written.
        attributes: global, by name.
        said: attributes of Data.IR.
    """
    import netCDF4

    sizes = {"M": 1, "R": 1, "N": 1, "E": 1, **dict(zip(dimensions, responses.shape, strict=True))}
    texts = {"SOFAConventions": "SingleRoomSRIR", "SOFAConventionsVersion": "1.0", "Title": "T"}
    parts = {
        "ListenerPosition": np.zeros((1, 3)),
        "ReceiverPosition": np.zeros((sizes["R"], 3)),
        "EmitterPosition": np.zeros((sizes["E"], 3)),
        **(variables or {}),
    }
    with netCDF4.Dataset(str(path), "w") as file:
        for name, text in {**texts, **(attributes or {})}.items():
            file.setncattr(name, text)
        for name in dict.fromkeys("IC" + dimensions + "MRE"):
            file.createDimension(name, {"I": 1, "C": 3}.get(name) or sizes[name])
        data = file.createVariable("Data.IR", "f8", tuple(dimensions))
        data[:] = responses
        data.setncatts(said)
        rate = file.createVariable("Data.SamplingRate", "f8", ("I",))
        rate[:] = 16000.0
        for name, part in parts.items():
            if part is not None:
                _position(file, name, *(part if isinstance(part, tuple) else (part,)))
    return path


def _position(file, name, values, kind="cartesian", units="metre"):
    values = np.atleast_2d(values)
    rows = f"{name}Rows"
    file.createDimension(rows, len(values))
    variable = file.createVariable(name, "f8", (rows, "C"))
    variable[:] = values
    for key, value in (("Type", kind), ("Units", units)):
        if value is not None:
            variable.setncattr(key, value)


def unit(azimuth, elevation):
    """(..., 3) unit vectors of angles in degrees."""
    azimuth, elevation = np.radians(azimuth), np.radians(elevation)
    x, y = np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth)
    return np.stack([x, y, np.sin(elevation) * np.ones_like(x)], axis=-1)


def plane_waves(directions):
    """(M, 4, 200) AmbiX of an impulse from each direction."""
    x, y, z = np.transpose(directions)
    return impulses(np.stack([np.ones_like(x), y, z, x], axis=-1))


def impulses(gains, samples=200, at=40):
    """(..., samples) with the gains at one sample."""
    responses = np.zeros((*np.shape(gains), samples))
    responses[..., at] = gains
    return responses
