"""Directions for other programs: OSC, TCP in the layout of ODAS, MQTT, the live page."""
