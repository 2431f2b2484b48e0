"""A Kalman filter on the sphere: where a talker is and how they move, from noisy directions.

The state is a unit vector u and an angular velocity v in its tangent plane. Between measurements
u moves along a great circle and v is carried along; a measured direction z enters as the tangent
vector at u that leads to z. Process and measurement know no preferred direction of the tangent
plane, so the covariance is that of one axis, three numbers, and the same on both.

Motion is Langevin's, as is usual for people who walk and stand: v is pushed at random and forgets
itself with the time constant tau,

    dv = -v dt / tau + sqrt(2 / tau) sigma dW

with sigma the usual speed on one axis. Without measurements u comes to rest after |v| tau.

A source that is not heard keeps its course: the mean of its latest velocities, which is steadier
than the last one. A course too slow to be told from noise is that of somebody who stands. Without
measurements the variance then grows evenly with time, as that of a walk at random.

Plain floats: three numbers at a time are faster so than with numpy.

References:
    F. Grondin, F. Michaud, "Lightweight and optimized sound source localization and tracking
    methods for open and closed microphone array configurations", Robotics and Autonomous Systems
    113, 2019, doi:10.1016/j.robot.2019.01.002: Kalman filters of position and velocity on the unit
    sphere, M3K, as in ODAS.
    D. B. Ward, E. A. Lehmann, R. C. Williamson, "Particle filtering algorithms for tracking an
    acoustic source in a reverberant environment", IEEE Trans. Speech and Audio Processing 11(6),
    2003, doi:10.1109/TSA.2003.818112: the Langevin model for talkers.
"""

from __future__ import annotations

import math

Vector = tuple[float, float, float]

SPEED = math.radians(30.0)  # radians/second, root mean square on one axis of the tangent plane
FORGETS_S = 2.0  # seconds after which a velocity is forgotten
COURSE_S = 0.6  # seconds: time constant of a course
WALKS = math.radians(12.0)  # radians/second: a slower course is somebody who stands
_RESTLESS = math.radians(12.0) ** 2  # radians^2/second: variance of a source that stands unheard
_TINY = 1e-12


class SphereFilter:
    """Direction and velocity of one source.

    Attributes:
        direction: (3,) unit vector.
        velocity: (3,) [rad/s], orthogonal to the direction.
        course: (3,) mean of the velocities of the latest `COURSE_S` [rad/s].
        variance: of the direction, on one axis of the tangent plane [rad^2].

    Args:
        direction: (3,) unit vector of the first measurement.
        noise: variance of that measurement on one axis [rad^2].
    """

    __slots__ = (
        *("_age_s", "_cross", "_speed_variance"),
        *("course", "direction", "variance", "velocity"),
    )

    def __init__(self, direction: Vector, *, noise: float) -> None:
        self.direction = direction
        self.velocity: Vector = (0.0, 0.0, 0.0)
        self.course: Vector = (0.0, 0.0, 0.0)
        self.variance = noise
        self._age_s = 0.0
        self._cross = 0.0  # covariance of direction and velocity [rad^2/s]
        self._speed_variance = SPEED**2

    def predict(self, elapsed_s: float, *, keep_course: bool = False) -> None:
        """Move on by some seconds, zero or more.

        Args:
            elapsed_s: how many.
            keep_course: whether the course stays, as measurements are not of this source alone.
        """
        if not keep_course:
            self._learn_course(elapsed_s)
        kept = math.exp(-elapsed_s / FORGETS_S)
        moved = FORGETS_S * (1.0 - kept)
        self.direction, self.velocity = _moved(self.direction, self.velocity, moved, kept)
        spread = SPEED**2
        self.variance += (
            2.0 * moved * self._cross
            + moved**2 * self._speed_variance
            + spread * (2.0 * FORGETS_S * elapsed_s - 2.0 * FORGETS_S * moved - moved**2)
        )
        self._cross = kept * (self._cross + moved * self._speed_variance) + spread * moved**2 / (
            FORGETS_S
        )
        self._speed_variance = kept**2 * self._speed_variance + spread * (1.0 - kept**2)

    def update(self, measured: Vector, *, noise: float) -> None:
        """Take in a direction, a unit vector, of this variance on one axis [rad^2]."""
        error = _tangent(self.direction, measured)
        total = self.variance + noise
        gain, velocity_gain = self.variance / total, self._cross / total
        pushed = _sum(self.velocity, error, velocity_gain)
        self.direction, _ = _moved(self.direction, error, gain, 1.0)
        self.velocity = _sum(pushed, self.direction, -_dot(pushed, self.direction))
        self._speed_variance -= velocity_gain * self._cross
        self._cross *= 1.0 - gain
        self.variance *= 1.0 - gain

    def coast(self, elapsed_s: float) -> bool:
        """Move on by some seconds without being heard: along the course, if there is one.

        Returns:
            Whether the source walks.
        """
        course = _sum(self.course, self.direction, -_dot(self.course, self.direction))
        walks = _dot(course, course) >= WALKS**2
        if walks:
            self.velocity = course
            self.predict(elapsed_s)
            self.course = self.velocity
        else:
            self.course = self.velocity = (0.0, 0.0, 0.0)
            self.variance += _RESTLESS * elapsed_s
            self._cross, self._speed_variance = 0.0, SPEED**2
        return walks

    def follow_course(self, elapsed_s: float) -> None:
        """Move on by some seconds as the source did, while its measurements are another's."""
        course = _sum(self.course, self.direction, -_dot(self.course, self.direction))
        self.direction, self.course = _moved(self.direction, course, elapsed_s, 1.0)
        self.velocity = self.course
        self.variance += _RESTLESS * elapsed_s
        self._cross, self._speed_variance = 0.0, SPEED**2

    def _learn_course(self, elapsed_s: float) -> None:
        """Let the velocity of some seconds count."""
        self._age_s = min(self._age_s + elapsed_s, COURSE_S)
        share = elapsed_s / self._age_s if self._age_s > elapsed_s else 1.0
        self.course = _sum(_scaled(self.course, 1.0 - share), self.velocity, share)

    def ahead(self, elapsed_s: float) -> Vector:
        """(3,) unit vector: the direction expected some seconds later."""
        moved = FORGETS_S * (1.0 - math.exp(-elapsed_s / FORGETS_S))
        return _moved(self.direction, self.velocity, moved, 1.0)[0]


def angle(one: Vector, other: Vector) -> float:
    """Angle between two unit vectors, in [0, pi] [rad]."""
    cross = (
        one[1] * other[2] - one[2] * other[1],
        one[2] * other[0] - one[0] * other[2],
        one[0] * other[1] - one[1] * other[0],
    )
    return math.atan2(math.sqrt(_dot(cross, cross)), _dot(one, other))


def _dot(one: Vector, other: Vector) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def _sum(one: Vector, other: Vector, times: float) -> Vector:
    """`one + times * other`."""
    return (one[0] + times * other[0], one[1] + times * other[1], one[2] + times * other[2])


def _scaled(vector: Vector, times: float) -> Vector:
    return (vector[0] * times, vector[1] * times, vector[2] * times)


def _tangent(start: Vector, end: Vector) -> Vector:
    """The vector in the tangent plane at `start` that leads to `end`, as long as their angle."""
    across = _sum(end, start, -_dot(start, end))
    length = math.sqrt(_dot(across, across))
    if length < _TINY:  # the same direction, or the opposite one, to which no way is shorter
        return (0.0, 0.0, 0.0)
    return _sum((0.0, 0.0, 0.0), across, angle(start, end) / length)


def _moved(start: Vector, velocity: Vector, seconds: float, kept: float) -> tuple[Vector, Vector]:
    """Where a great circle leads, and the share `kept` of the velocity, carried along."""
    speed = math.sqrt(_dot(velocity, velocity))
    if speed < _TINY:
        return start, velocity
    cosine, sine = math.cos(speed * seconds), math.sin(speed * seconds)
    end = _sum(_sum((0.0, 0.0, 0.0), start, cosine), velocity, sine / speed)
    length = math.sqrt(_dot(end, end))  # rounding would add up over a day
    carried = _sum(_sum((0.0, 0.0, 0.0), velocity, cosine * kept), start, -speed * sine * kept)
    return (end[0] / length, end[1] / length, end[2] / length), carried
