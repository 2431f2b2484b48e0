from .engine import DirectionEngine as DirectionEngine
from .estimate import Estimate as Estimate
from .input.audio import read_blocks as read_blocks
from .tflite.network import TfliteModel as TfliteModel
from .tflite.network import default_model_path as default_model_path
