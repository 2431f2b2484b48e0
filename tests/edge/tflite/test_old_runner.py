"""What doa_edge 0.1, which knows one voice, says to a file of several."""

import json
from dataclasses import replace

import pytest

from doa_core.spec import ModelSpec

ONE = ModelSpec(head="gibbs-weighted", resolution_deg=10.0)


def read_as_version_1(text):
    """The first check of 0.1's `ModelSpec.from_dict`, before it looked at any key."""
    values = json.loads(text)
    version = values.pop("version", None)
    if version != 1:
        raise ValueError(f"The model's spec must have version 1. Received: version={version!r}")
    return values


def test_it_refuses_a_file_of_several_voices_in_words():
    several = replace(ONE, voices=3)
    with pytest.raises(ValueError, match=r"must have version 1\. Received: version=2$"):
        read_as_version_1(several.to_json())
    assert ModelSpec.from_json(several.to_json()) == several


def test_it_takes_a_file_of_one_voice():
    """No key that 0.1 did not know, and the digest that it computed."""
    values = read_as_version_1(ONE.to_json())
    known = ("features", "head", "resolution_deg", "decode", "quantization", "provenance", "digest")
    assert set(values) == set(known)
