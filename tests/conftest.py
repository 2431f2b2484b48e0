"""For all tests."""

import signal

# A shell that starts something in the background has it ignore interruptions, and so would every
# command that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
