"""From a Keras network to a flatbuffer: each conversion runs in a process of its own."""
