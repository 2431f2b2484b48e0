"""Recordings of any length: meetings, and talkers who walk; rendered block by block.

voice       what one person says, and when they are heard
background  diffuse noise, one localised noise, the microphone's own
session     images of talkers and noise that add up to a recording, and its labels
meeting     people who take turns
moving      talkers who walk
"""
