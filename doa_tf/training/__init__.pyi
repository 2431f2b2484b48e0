from .keras_engine import train as train
from .settings import TrainSettings as TrainSettings
