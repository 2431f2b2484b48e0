"""Where the project lies, and the development recordings that may lie beside it."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"  # tests take it from the fixture `shared_data`
DEMO = PROJECT / "demo"
