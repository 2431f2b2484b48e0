"""Cost and truth of simulated rooms: `python -m benchmarks.rooms`."""
