from .draw import MixSettings as MixSettings
from .draw import SceneDraw as SceneDraw
from .folder import (
    Scene as Scene,
)
from .folder import (
    Scenes as Scenes,
)
from .folder import (
    read_scenes as read_scenes,
)
from .folder import (
    write_scenes as write_scenes,
)
from .mixer import MixedScene as MixedScene
from .mixer import SceneMixer as SceneMixer
from .recordings import Recordings as Recordings
from .recordings import read_recordings as read_recordings
from .render import render_scenes as render_scenes
