from .cache import FeatureCache as FeatureCache
from .cache import cached_dataset as cached_dataset
from .features import feature_windows as feature_windows
from .features import waveform_features as waveform_features
from .pipeline import (
    mixed_dataset as mixed_dataset,
)
from .pipeline import (
    scene_keys as scene_keys,
)
from .pipeline import (
    scenes_arrays as scenes_arrays,
)
from .recorded import RecordedScenes as RecordedScenes
