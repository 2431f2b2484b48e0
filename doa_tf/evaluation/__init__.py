"""How good a model is: errors with intervals, comparisons, pictures, calibration.

predictions             outputs of a network or a baseline for scenes
judge                   their errors against the labels
statistics, groups      figures, intervals and tests; groups of scenes by a column
baselines               intensity vector and MUSIC
calibration             confidence as a probability
comparison, report      several models on the same scenes
plot, compare_plot, panels      pictures
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
