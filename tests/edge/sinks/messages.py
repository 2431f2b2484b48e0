"""Messages of runs with several voices, as `Estimate.to_dict` makes them."""

from __future__ import annotations

from doa_edge.estimate import Estimate, Talker


def talker(number, slot, azimuth_deg, elevation_deg=0.0, confidence=0.9, *, tentative=False):
    """One voice."""
    return Talker(
        id=number,
        slot=slot,
        azimuth_deg=azimuth_deg,
        elevation_deg=elevation_deg,
        confidence=confidence,
        tentative=tentative,
    )


def heard(time_s, *talkers):
    """An estimate of these talkers, who may be none."""
    ordered = sorted(talkers, key=lambda one: -one.confidence)
    top = ordered[0] if ordered else talker(0, 1, 12.0, 3.0, 0.1)
    return Estimate(
        time_s=time_s,
        azimuth_deg=top.azimuth_deg,
        elevation_deg=top.elevation_deg,
        confidence=top.confidence,
        active=bool(ordered),
        level_dbfs=-20.5,
        of_s=round(time_s - 0.25, 3),
        talkers=tuple(ordered),
    )


def several(time_s, *talkers):
    """The message of an estimate of these talkers."""
    return heard(time_s, *talkers).to_dict()
