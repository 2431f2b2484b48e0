"""What an export is asked for: one object, checked once, for the command and for Python."""

from __future__ import annotations

import os
from dataclasses import dataclass

from doa_core.decode import METHODS
from doa_core.errors import InputError, as_input_errors
from doa_edge import limits
from doa_export.budget import BUDGETS, Budget
from doa_export.convert.modes import AUTO, MODES, Mode, check_mode, check_splittable
from doa_export.judge.calibration import WINDOWS


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """How a checkpoint becomes a model file, and how the file is judged.

    Attributes:
        quantize: a name in `doa_export.convert.modes.MODES`.
        lstm: `rolled`, `unrolled`, `fused`, or `auto` for the best of the mode.
        calibrate: scenes folder to calibrate integers on.
        calibration_windows: largest number of windows of it, evenly over their conditions.
        frontend: whether the file takes samples and computes the features inside, from the
            high-pass on.
        stream_highpass: whether the high-pass of such a file is left to who runs it, for streams.
        decode: `peak` or `centroid`, how a grid head's file is to be decoded; what the checkpoint
            says if None. Regression heads have one decoding and ignore it.
        split: whether the file holds the network in two halves as well, for streams.
        check: scenes folder to compare on; built-in synthetic windows if None. Scenes that were
            calibrated on are left out.
        budget: largest angles to the checkpoint's answers; the mode's if None.
        imports: names of modules that register heads and layers of the checkpoint; they are
            imported here and in the process of the converter.

    Raises:
        InputError: a value that is not allowed, or values that do not go together.
    """

    quantize: str
    lstm: str = AUTO
    calibrate: str | os.PathLike[str] | None = None
    calibration_windows: int = WINDOWS
    frontend: bool = False
    stream_highpass: bool = False
    decode: str | None = None
    split: bool = False
    check: str | os.PathLike[str] | None = None
    budget: Budget | None = None
    imports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_mode(
            self.quantize, self.lstm, audio=self.frontend, calibrated=self.calibrate is not None
        )
        with as_input_errors():
            limits.check("calibration-windows", self.calibration_windows)
        if self.decode not in (None, *METHODS):
            raise InputError(
                f"`decode` must be one of {', '.join(METHODS)}. Received: {self.decode!r}"
            )
        if self.stream_highpass and not self.frontend:
            raise InputError(
                "`stream_highpass` belongs to files with a front end; before features the "
                "high-pass is always the runner's. Received: stream_highpass without frontend"
            )
        if self.split:
            check_splittable(self.quantize, audio=self.frontend)

    @property
    def mode(self) -> Mode:
        """What the mode does to a network."""
        return MODES[self.quantize]

    @property
    def form(self) -> str:
        """The form of the LSTM: the one that was asked for, or the best of the mode."""
        return self.mode.lstm if self.lstm == AUTO else self.lstm

    @property
    def allowed(self) -> Budget:
        """Largest angles to the checkpoint's answers: those asked for, or the mode's."""
        return self.budget or BUDGETS[self.quantize]
