"""The modes: what each does to a network, and which form of the LSTM suits it.

The table of docs/export-guide.md is what the choices were made on. Light: the command imports it.
"""

from __future__ import annotations

from dataclasses import dataclass

LSTM_FORMS = ("rolled", "unrolled", "fused")


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One way to write the numbers of a network.

    Attributes:
        quantization: as the spec has it.
        lstm: the form that is best.
        forms: of the LSTM that can be converted and run.
        needs_calibration: whether ranges of activations are fixed beforehand.
        float_input: whether a file takes and gives floats.
    """

    quantization: str
    lstm: str = "fused"
    forms: tuple[str, ...] = LSTM_FORMS
    needs_calibration: bool = False
    float_input: bool = True


MODES = {
    "none": Mode(quantization="none"),
    "float16": Mode(quantization="float16"),
    "dynamic": Mode(quantization="dynamic"),
    "int8": Mode(quantization="int8", needs_calibration=True),
    # A loop with integer state ends the converter's process with a segmentation fault.
    "int8-full": Mode(
        quantization="int8",
        forms=("unrolled", "fused"),
        needs_calibration=True,
        float_input=False,
    ),
    # The converter has no fused operation of these numbers.
    "int16x8": Mode(
        quantization="int16x8", lstm="unrolled", forms=("unrolled",), needs_calibration=True
    ),
}
QUANTIZE = tuple(MODES)
