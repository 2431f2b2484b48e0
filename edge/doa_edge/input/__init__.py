"""Where sound comes from: recordings, pipes and devices, as blocks of AmbiX at 16 kHz."""
