"""Scenes with one thing changed at a time, and the answers of models to them, kept on disk."""
