"""Where a microphone's zero is: talkers at known places tell how it is mounted."""
