from .base import Microphone as Microphone
from .draw import (
    KINDS as KINDS,
)
from .draw import (
    IdealMicrophone as IdealMicrophone,
)
from .draw import (
    MicrophoneSettings as MicrophoneSettings,
)
from .draw import (
    draw_microphone as draw_microphone,
)
from .measured_array import SphereMicrophone as SphereMicrophone
from .rigid_sphere import RigidSphereMicrophone as RigidSphereMicrophone
from .sofa_array import ArrayResponses as ArrayResponses
from .sofa_array import read_array as read_array
from .tetrahedral import TetrahedralMicrophone as TetrahedralMicrophone
