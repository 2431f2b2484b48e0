"""Metadata of the distribution `doa-tf`; tool settings are in pyproject.toml."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

EDGE = [
    "sounddevice>=0.4.6",
    "soundfile>=0.13",
    "soxr>=0.5.0",
    "rich>=13",
    "python-osc>=1.8",
    "tomlkit>=0.13",
    'tomli>=2; python_version < "3.11"',
]
WEB = ["websockets>=14"]
MQTT = ["paho-mqtt>=2"]
# tflite-runtime is the last choice: the only one for 32-bit ARM, Python <= 3.11 and numpy < 2.
RUNTIME = [
    'ai-edge-litert>=2.1; platform_machine != "armv7l" and platform_machine != "armv6l"',
    'tflite-runtime>=2.14; platform_machine == "armv7l" or platform_machine == "armv6l"',
]
PLOT = ["matplotlib>=3.8"]
# The tables of one published data set, Spatial LibriSpeech.
PARQUET = ["pyarrow>=14"]
TRAIN = [
    "h5py>=3.11",
    "tensorflow>=2.20,<2.22",
    "keras>=3.10,<4",
    "librosa>=0.10.2",
    "scikit-learn>=1.5",
    "tensorboard>=2.19",
]
# What makes rooms, on this machine or as a worker of a cluster: no TensorFlow.
CLUSTER = [
    "dask[distributed]>=2025.1",
    "pyroomacoustics>=0.10.1",
    "rich>=13",
    "scipy>=1.11",
    "netCDF4>=1.6",
    "sofar>=1.2",
    "soxr>=0.5.0",
    "threadpoolctl>=3.5",
]
# The engine `jax` of training; an accelerator has a JAX of its own, such as jax[cuda13].
JAX = ["jax>=0.6"]
TEST = ["pytest>=8.2", "pytest-xdist>=3.6"]
DEV = [
    "build",
    "codespell",
    "import-linter>=2",
    "mypy>=1.11",
    "pre-commit",
    "ruff",
    "setuptools>=69",
    "twine>=6",
    "uv>=0.5",
]
# The site of `make docs`; ruff formats its signatures.
DOCS = [
    "griffe-public-redundant-aliases",
    "mkdocs>=1.6,<2",
    "mkdocs-material>=9.7",
    "mkdocstrings[python]>=1",
    "ruff",
]

# Where packages lie: folder of the repository, names in it.
ROOTS = {".": ["doa_core", "doa_tf"], "edge": ["doa_edge"], "export": ["doa_export"]}

# A link into the repository leads nowhere from a package index: only its text is kept.
README = re.sub(
    r"!\[[^]]*\]\((?!https:)[^)]*\)|\[([^]]*)\]\((?!https:)[^)]*\)",
    r"\1",
    Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
)


class CleanBuild(build_py):
    """Builds into an empty folder: what an older version left there is not packed."""

    def run(self) -> None:
        """Empty the folder, then build."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(
    name="doa-tf",
    version="0.2.0",
    description=(
        "Where does a voice come from? Direction of arrival of a speaker from first-order "
        "Ambisonics: trained with Keras, run on small boards with TFLite"
    ),
    long_description=README,
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=[
        package
        for folder, names in ROOTS.items()
        for name in names
        for package in find_packages(folder, include=[name, f"{name}.*"])
    ],
    package_dir={"": ".", "doa_edge": "edge/doa_edge", "doa_export": "export/doa_export"},
    package_data={
        "": ["py.typed", "*.pyi"],
        "doa_edge": ["models/*.tflite", "models/*.md"],
        "doa_edge.sinks.network": ["page.html"],
    },
    cmdclass={"build_py": CleanBuild},
    install_requires=["lazy_loader>=0.4", "numpy>=1.24"],
    extras_require={
        "edge": EDGE + RUNTIME,
        "web": WEB,
        "mqtt": MQTT,
        "parquet": PARQUET,
        "plot": PLOT,
        "cluster": CLUSTER,
        "jax": JAX,
        "train": TRAIN + CLUSTER + EDGE + RUNTIME + PLOT,
        "export": TRAIN + CLUSTER + EDGE + RUNTIME,
        "docs": DOCS,
        "test": TEST,
        "dev": DEV + TEST + DOCS + JAX + WEB + MQTT + PARQUET,
    },
    entry_points={
        "console_scripts": [
            "doa_tf = doa_tf.cli.main:main",
            "doa_export = doa_export.cli:main",
            "doa_edge = doa_edge.commands.main:main",
        ]
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: Analysis",
    ],
)
