"""A live device: PortAudio, its thread and its clock; reopened when it is lost."""
