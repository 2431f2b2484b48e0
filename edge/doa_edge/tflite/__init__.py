"""A network in a .tflite file: the spec inside it, the runtime, and its two halves."""
