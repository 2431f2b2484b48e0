"""When it was: from stream time to the time of day, of live sound and of recordings."""
