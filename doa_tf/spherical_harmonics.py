"""Real spherical harmonics and Legendre polynomials by their recurrences.

References:
    NIST Digital Library of Mathematical Functions, sections 14.10 and 14.30, https://dlmf.nist.gov
"""

from __future__ import annotations

from math import factorial

import numpy as np


def legendre(cosines: np.ndarray, order: int) -> np.ndarray:
    """(N + 1, ...) Legendre polynomials P_0 to P_N.

    Args:
        cosines: (...,) in [-1, 1].
        order: N.
    """
    cosines = np.asarray(cosines, np.float64)
    polynomials = np.empty((order + 1, *cosines.shape))
    polynomials[0] = 1.0
    if order > 0:
        polynomials[1] = cosines
    for n in range(2, order + 1):
        polynomials[n] = (2 * n - 1) / n * cosines * polynomials[n - 1]
        polynomials[n] -= (n - 1) / n * polynomials[n - 2]
    return polynomials


def spherical_harmonics(directions: np.ndarray, order: int) -> np.ndarray:
    """(I, (N + 1)^2) real spherical harmonics, N3D, in ACN order, as Ambisonics has them.

    Their mean square over the sphere is 1; the first four are 1, sqrt(3) y, sqrt(3) z, sqrt(3) x.

    Args:
        directions: (I, 3) unit vectors.
        order: N.
    """
    x, y, z = np.asarray(directions, np.float64).T
    harmonics = np.empty((len(x), (order + 1) ** 2))
    # sin^m(theta) cos(m phi) and sin(m phi) as powers of x + jy; the rest is a polynomial in z.
    around = np.ones(len(x), np.complex128)
    start = 1.0  # P_mm / sin^m, without the Condon-Shortley phase
    for m in range(order + 1):
        lower, polynomial = np.zeros(len(x)), np.full(len(x), start)
        for n in range(m, order + 1):
            scale = (2 * n + 1) * (1 if m == 0 else 2) * factorial(n - m) / factorial(n + m)
            values = np.sqrt(scale) * polynomial
            harmonics[:, n * n + n + m] = values * around.real
            if m > 0:
                harmonics[:, n * n + n - m] = values * around.imag
            raised = ((2 * n + 1) * z * polynomial - (n + m) * lower) / (n - m + 1)
            lower, polynomial = polynomial, raised
        start *= 2 * m + 1
        around = around * (x + 1j * y)
    return harmonics
