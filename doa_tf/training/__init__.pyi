from .blend import blend_models as blend_models
from .run import train as train
from .settings import RunOptions as RunOptions
from .settings import TrainingData as TrainingData
from .settings import TrainSettings as TrainSettings
