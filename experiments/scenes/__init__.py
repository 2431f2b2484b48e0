"""Scenes with one thing changed at a time, and answers of models kept on disk."""
