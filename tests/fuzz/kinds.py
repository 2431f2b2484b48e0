"""What is fuzzed: of each kind valid files, how they are changed, and what then reads them."""

from __future__ import annotations

from tests.fuzz import device, training

KINDS = {
    kind.name: kind
    for kind in (
        device.Sound("wav", ("WAV", "WAVEX"), ("PCM_16", "PCM_24", "FLOAT", "PCM_U8")),
        device.Sound("flac", ("FLAC",), ("PCM_16", "PCM_24")),
        device.Sound("containers", ("AIFF", "AU", "W64", "RF64", "CAF", "OGG"), (None,)),
        device.Pcm(),
        device.Damaged(),
        device.Forged(),
        device.Rebuilt(),
        device.Specs(),
        device.Config(),
        device.Lines(),
        training.RecipeFile(),
        training.Labels(),
        training.BankIndex(),
        training.BankRooms(),
        training.Sofa(),
        training.SofaValues(),
        training.Checkpoint(),
    )
}
