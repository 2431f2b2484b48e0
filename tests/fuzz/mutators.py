"""Seeded changes of valid files: what a bad disk, a bad cable or bad intentions make of them."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from copy import deepcopy

# At the edges of what fields of files can hold, and of what their readers can.
INTEGERS = (
    *(0, 1, 2, 3, 4, 5, 7, 8, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536),
    *(2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**53, 2**63 - 1, 2**64 - 1),
)
NUMBERS = (
    *("-1", "0", "-0.0", "1e308", "-1e308", "1e-320", "nan", "inf", "-inf", "1e999", "0x10"),
    *("\u0661", "+5", " 7", "1e", "0.1.2", ""),
    *("9" * 400, "2147483648", "18446744073709551616", "1_000"),
)
TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\x1b[2J",
        "\x07",
        "\r",
        "\n",
        "\t",
        "\ufeff",
        "\u202e",
        "\ud800",
        "é",
        "e\u0301",
    ),
    *("'", '"', "\\", "%s%n", "{0}", "$x^{", "$\\frac{1}", "../../x", "/dev/null", "-", "--help"),
    *(
        "a" * 200_000,
        "[" * 5_000,
        "{" * 5_000,
        "[[" * 500 + "]]" * 500,
        "=",
        "#",
        ",",
        ";",
        "\U0001f600",
    ),
)
VALUES = (
    *(None, True, False, 0, -1, 1, 2, 10**9, -(10**9), 2**31, 2**63, 2**64, 10**400, 0.5, 1e308),
    *(float("nan"), float("inf"), float("-inf"), -0.0, 1e-320, "", "x", "1", "\0", "a" * 5_000),
    *([], {}, [[]], [None], [1, 2, 3], ["x"], {"x": 1}, [0] * 5_000, [float("nan")] * 4),
)


def changed_bytes(rng, data, *, others=(), header=0):
    """Data after one to four changes.

    Args:
        rng: a `random.Random`.
        data: bytes of a valid file.
        others: of further valid ones, parts of which may be put in.
        header: bytes at its start in which half of the changes are made.
    """
    data = bytearray(data)
    changes = (_flip, _put, _integer, _integer, _cut, _drop, _repeat, _fill, _splice)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        reach = min(header, len(data)) if header and rng.random() < 0.5 else len(data)
        at = rng.randrange(reach) if reach else 0
        data = rng.choice(changes)(rng, data, at, others)
    return bytes(data)


def changed_in_place(rng, data, start, stop):
    """Data of the same length, with one to four changes between two places."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        at = rng.randrange(start, stop)
        data = rng.choice((_flip, _put, _integer))(rng, data, at, ())[: len(data)]
    return bytes(data)


def _flip(rng, data, at, others):
    for _ in range(rng.choice((1, 1, 2, 8))):
        if data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        at = max(0, at + rng.randrange(-8, 9))
    return data


def _put(rng, data, at, others):
    data[at : at + 1] = bytes([rng.randrange(256)])
    return data


def _integer(rng, data, at, others):
    code = rng.choice(("<H", "<I", "<Q", ">H", ">I", ">Q"))
    size = struct.calcsize(code)
    at -= at % rng.choice((1, 2, 4))
    data[at : at + size] = struct.pack(code, rng.choice(INTEGERS) % 2 ** (8 * size))
    return data


def _cut(rng, data, at, others):
    return data[:at]


def _drop(rng, data, at, others):
    del data[at : at + rng.choice((1, 2, 4, 8, 64, 1_000))]
    return data


def _repeat(rng, data, at, others):
    part = data[at : at + rng.choice((1, 4, 8, 24, 200))]
    data[at:at] = part * rng.choice((1, 2, 10, 1_000))
    return data


def _fill(rng, data, at, others):
    size = rng.choice((1, 4, 16, 256, 100_000))
    data[at : at + size] = bytes([rng.choice((0, 1, 127, 128, 255))]) * size
    return data


def _splice(rng, data, at, others):
    other = rng.choice(others) if others else bytes(data)
    start = rng.randrange(len(other)) if other else 0
    size = rng.choice((1, 8, 64, 1_000))
    data[at : at + rng.choice((0, size))] = other[start : start + size]
    return data


def changed_text(rng, text, *, separators=",\n=[] "):
    """Bytes of a text after one to three changes of its words and lines, or of its bytes."""
    if rng.random() < 0.2:
        return changed_bytes(rng, text.encode())
    for _ in range(rng.choice((1, 1, 2, 3))):
        text = rng.choice((_word, _word, _number, _line, _swap))(rng, text, separators)
    return text.encode("utf-8", "surrogatepass")


def changed_toml(rng, text):
    """Bytes of a TOML document after a change: mostly of one value, else of its text."""
    if rng.random() < 0.4:
        return changed_text(rng, text)
    lines = text.split("\n")
    at = rng.choice([i for i, line in enumerate(lines) if "=" in line and line[0] != "#"])
    key, _, value = lines[at].partition("=")
    new = rng.choice((*VALUES, *INTEGERS, *TEXTS, *NUMBERS[:11]))
    if isinstance(new, dict):
        new = rng.choice(("{x = 1}", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z", "{}"))
    elif isinstance(new, str) and new not in NUMBERS:
        new = json.dumps(new, ensure_ascii=rng.random() < 0.5)
    elif not isinstance(new, str):
        new = json.dumps(new).lower()
    lines[at] = f"{key}= {rng.choice((new, new, new, f'[{value}, {new}]'))}"
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _places(text, separators):
    """(start, end) of the words between separators."""
    starts = [0, *(i + 1 for i, letter in enumerate(text) if letter in separators)]
    return [(a, b - 1) for a, b in zip(starts, [*starts[1:], len(text) + 1], strict=True)]


def _word(rng, text, separators):
    start, end = rng.choice(_places(text, separators))
    word = rng.choice(TEXTS)
    return text[:start] + rng.choice((word, f'"{word}"', text[start:end] + word)) + text[end:]


def _number(rng, text, separators):
    places = [(a, b) for a, b in _places(text, separators) if text[a:b].strip("-.\"'").isdigit()]
    start, end = rng.choice(places or _places(text, separators))
    return text[:start] + rng.choice(NUMBERS) + text[end:]


def _line(rng, text, separators):
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    lines[at : at + rng.choice((0, 1))] = [lines[at]] * rng.choice((0, 1, 2, 2_000))
    return "\n".join(lines)


def _swap(rng, text, separators):
    (a, b), (c, d) = sorted(rng.choice(_places(text, separators)) for _ in range(2))
    return text if b > c else text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]


def changed_values(rng, values):
    """JSON values after one or two changes: a value replaced, left out, repeated or renamed."""
    values = json.loads(json.dumps(values))
    for _ in range(rng.choice((1, 1, 2))):
        holders = list(_holders(values))
        holder = rng.choice(holders) if holders else values
        if not holder:
            continue
        if isinstance(holder, list):
            key = rng.randrange(len(holder))
            holder[key : key + 1] = rng.choice(
                ([], [deepcopy(rng.choice(VALUES))], holder[key : key + 1] * 2)
            )
            continue
        key, how = rng.choice(sorted(holder)), rng.random()
        if how < 0.7:
            holder[key] = deepcopy(rng.choice(VALUES))  # later changes are of the copy
        elif how < 0.85:
            del holder[key]
        else:
            holder[rng.choice(("x", "", "\0", key + "x"))] = holder[key]
    return values


def _holders(values):
    """Every list and object in JSON values."""
    if isinstance(values, (dict, list)):
        yield values
        for value in values.values() if isinstance(values, dict) else values:
            yield from _holders(value)


def changed_zip(rng, data, change):
    """A zip whose check sums are right although one of its entries was changed.

    Args:
        rng: a `random.Random`.
        data: bytes of a zip.
        change: from the name and the bytes of an entry to its new bytes.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(entries))
    how = rng.random()
    if how < 0.8:
        entries[name] = change(name, entries[name])
    elif how < 0.9:
        del entries[name]
    else:
        entries[rng.choice((name + "x", "../" + name, "x" * 300))] = entries[name]
    buffer = io.BytesIO()
    with zipfile.ZipFile(
        buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as new:
        for name, content in entries.items():
            new.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()
