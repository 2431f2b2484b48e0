"""The modes: what each does to a network, and which form of the LSTM suits it.

The choices are based on the table of docs/export-guide.md. Light to import, for the command.
"""

from __future__ import annotations

from dataclasses import dataclass

from doa_core.errors import InputError

AUTO = "auto"  # the form of the LSTM that is best for the mode
LSTM_FORMS = ("rolled", "unrolled", "fused")


@dataclass(frozen=True, kw_only=True)
class Mode:
    """A quantisation of a network.

    Attributes:
        quantization: its name in the spec.
        lstm: the best form of the LSTM.
        forms: of the LSTM that can be converted and run.
        needs_calibration: whether ranges of activations are fixed beforehand.
        float_input: whether inputs and outputs of the file are floats.
        splittable: whether a file can hold the network in two halves as well.
    """

    quantization: str
    lstm: str = "fused"
    forms: tuple[str, ...] = LSTM_FORMS
    needs_calibration: bool = False
    float_input: bool = True
    splittable: bool = False


MODES = {
    "none": Mode(quantization="none", splittable=True),
    "float16": Mode(quantization="float16"),
    "dynamic": Mode(quantization="dynamic", splittable=True),
    "int8": Mode(quantization="int8", needs_calibration=True),
    # A loop with integer state ends the converter's process with a segmentation fault.
    "int8-full": Mode(
        quantization="int8", forms=("unrolled", "fused"), needs_calibration=True, float_input=False
    ),
    # The converter has no fused operation for these types.
    "int16x8": Mode(
        quantization="int16x8", lstm="unrolled", forms=("unrolled",), needs_calibration=True
    ),
}
QUANTIZE = tuple(MODES)


def check_mode(
    quantize: str, lstm: str = AUTO, *, audio: bool = False, calibrated: bool = True
) -> str:
    """The form of the LSTM that a mode is to have.

    Args:
        quantize: name of the mode.
        lstm: a form, or `auto`.
        audio: whether the file is to take samples instead of features.
        calibrated: whether there is something to calibrate on.

    Raises:
        InputError: an unknown mode, a form or an input that it cannot have, or nothing to calibrate
            on where it needs that.
    """
    if quantize not in MODES:
        raise InputError(
            f"`quantize` must be one of {', '.join(MODES)}. Received: quantize={quantize!r}"
        )
    mode = MODES[quantize]
    if lstm not in (AUTO, *LSTM_FORMS):
        raise InputError(
            f"`lstm` must be one of {', '.join((AUTO, *LSTM_FORMS))}. Received: lstm={lstm!r}"
        )
    if lstm not in (AUTO, *mode.forms):
        raise InputError(
            f"The LSTM of the mode {quantize} can be {' or '.join(mode.forms)}. "
            f"Received: lstm={lstm!r}"
        )
    if audio and not mode.float_input:
        raise InputError(
            "A front end takes samples as floats: use the mode int8. "
            f"Received: quantize={quantize!r}"
        )
    if mode.needs_calibration and not calibrated:
        raise InputError(
            f"The mode {quantize} needs scenes to calibrate on: --calibrate SCENES. Received: none"
        )
    return mode.lstm if lstm == AUTO else lstm


def check_splittable(quantize: str, *, audio: bool) -> None:
    """Raise InputError for a mode, or for an input, whose files cannot hold two halves."""
    if not MODES[quantize].splittable:
        names = " and ".join(name for name, mode in MODES.items() if mode.splittable)
        raise InputError(f"Only {names} files can be split. Received: {quantize}")
    if audio:
        raise InputError(
            "Only files whose input is features can be split: the halves keep features from window "
            "to window. Received: a front end"
        )
