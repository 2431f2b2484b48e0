"""A live device: PortAudio, its thread and its clock; opened again when it is lost."""
