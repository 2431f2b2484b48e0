"""How good a model is: answers, figures with intervals, comparisons, pictures, calibration.

predictions     what a network or a baseline says of scenes
judge           the angle to the labels
statistics, groups      intervals, tests, columns of labels.csv
baselines       intensity vector and MUSIC
calibration     confidence as a probability
comparison, report      several models side by side
plot, compare_plot, panels      pictures
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
