"""Readers with limits: what is hostile or odd is refused in one line, before it costs anything."""

import io
import json
import zipfile

import numpy as np
import pytest

from doa_core.errors import InputError, MissingPackageError, as_damage
from doa_core.reading import toml, zip_archive
from doa_core.reading.csv_table import LONGEST_LINE, read_table
from doa_core.reading.json_text import parse_json, read_json
from doa_core.reading.npy_array import parse_npy, parse_npz
from doa_core.reading.toml import parse_toml, read_toml
from doa_core.reading.zip_archive import DamagedZipError, check_entries, open_zip, read_entry


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 1000, "nested more deeply than 16"),
        ("a = " + "[" * 17 + "]" * 17, "nested more deeply than 16"),
        ("a = " + "{a = " * 500 + "1" + "}" * 500, "nested more deeply than 16"),
        ("a" + ".a" * 100_000 + " = 1", "nested more deeply than 16"),
        ('"a"' + " . 'a'" * 20_000 + " = 1", "nested more deeply than 16"),
        ("[a" + ".a" * 17 + "]", "nested more deeply than 16"),
        ('plot = "a\\u0000b"', "NUL"),
        ("seed = 18446744073709551616", "64 bits"),
        ("seed = 0x" + "f" * 900, "64 bits"),
        ("seed = " + "1" * 5000, "1000 characters"),
        ('"' + "a" * 201 + '" = 1', "200 printable characters"),
        ('"a\\u001b" = 1', "200 printable characters"),
        ('[[a]]\n"b\\nc" = 1', "200 printable characters"),
        ("a = '''" + "''\n" * 80_000, "Expected|Unterminated"),
    ],
)
def test_toml_that_no_option_needs_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        parse_toml(text)
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=f"c.toml must be a TOML file: .*({message})"):
        read_toml(path)


def test_brackets_and_dots_that_nest_nothing_are_allowed():
    text = f"""
    # {"[" * 100}
    text = '{"[" * 100}' # {"." * 100}
    lines = \"\"\"{"{" * 100}
    \\\"\"\" {"a." * 100}\"\"\"
    floats = [{"0.5, " * 100}]
    lists = [{"[1, [2]], " * 100}]
    {"a." * 15}a = inf
    """
    values = parse_toml(text)
    assert len(values["floats"]) == len(values["lists"]) == 100
    assert values["text"] == "[" * 100
    assert values["lines"].count("a.") == 100


def test_a_toml_file_is_not_read_beyond_its_limit(tmp_path):
    path = tmp_path / "c.toml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match=f"of {toml.LARGEST_FILE} bytes at most"):
        read_toml(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting"),
        ("[" * 100_000, "nested more deeply than 100"),
        ("[" * 102 + "]" * 102, "nested more deeply than 100"),
        ('{"a": ' * 102 + "1" + "}" * 102, "nested more deeply than 100"),
        ('{"a": ' + "1" * 400 + "}", "64 bits"),
        ('{"a": 18446744073709551616}', "64 bits"),
        ('{"a": -9223372036854775809}', "64 bits"),
        ('{"a": [NaN]}', "finite"),
        ('{"a": -Infinity}', "finite"),
        ('{"a": 1e999}', "finite"),
        ('{"a": "\\ud800"}', "whole characters"),
        ('{"\\udfff": 1}', "whole characters"),
        ('["\\u0000"]', "NUL"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' twice"),
        (b"\xff\xfe{\0}\0", "utf-8"),
    ],
)
def test_json_that_no_file_of_ours_holds_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)
    path = tmp_path / "index.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=f"index.json is not an index: .*{message}") as caught:
        read_json(path, what="an index")
    assert "\n" not in str(caught.value)


def test_json_is_read_as_python_writes_it(tmp_path):
    values = {"name": "b\udcff", "least": -(2**63), "most": 2**64 - 1, "list": [[1.5], None, True]}
    path = tmp_path / "index.json"
    path.write_text("\ufeff" + json.dumps(values), encoding="utf-8")
    assert read_json(path) == values
    assert parse_json('{"a": [Infinity]}', finite=False) == {"a": [np.inf]}
    assert parse_json("[" * 101 + "]" * 101) is not None


def test_a_json_file_is_an_object_of_limited_size(tmp_path):
    path = tmp_path / "index.json"
    path.write_text("[1]")
    with pytest.raises(InputError, match=r"must be an object\. Received: list"):
        read_json(path)
    path.write_text(json.dumps({"a": "b" * 100}))
    with pytest.raises(InputError, match="which has 100 bytes at most"):
        read_json(path, largest=100)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "nowhere.json")


def archive_of(entries, *, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer


def test_an_entry_is_not_unpacked_beyond_its_limit():
    bomb = archive_of({"config.json": bytes(1 << 25), "small": b"12345"})
    with open_zip(bomb) as archive:
        assert read_entry(archive, "small", largest=5) == b"12345"
        with pytest.raises(DamagedZipError, match="small in it has 5 bytes, not 4 at most"):
            read_entry(archive, "small", largest=4)
        with pytest.raises(DamagedZipError, match="33554432 bytes, not 16777216 at most"):
            read_entry(archive, "config.json")
        with pytest.raises(DamagedZipError, match=r"lacks .*nothing"):
            read_entry(archive, "nothing")


def test_an_archive_that_unpacks_to_far_more_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(zipfile.ZipFile, "testzip", lambda self: pytest.fail("it was unpacked"))
    bomb = archive_of({str(number): bytes(1 << 20) for number in range(65)})
    size = len(bomb.getvalue())
    with open_zip(bomb) as archive, pytest.raises(DamagedZipError, match=f"{65 << 20} bytes, from"):
        check_entries(archive, size)


def test_damaged_entries_and_foreign_methods_are_refused():
    whole = archive_of({"a": b"0123456789" * 10}, method=zipfile.ZIP_STORED).getvalue()
    damaged = whole.replace(b"0123456789", b"0123456788", 1)
    with open_zip(io.BytesIO(damaged)) as archive:
        with pytest.raises(DamagedZipError, match="Bad CRC-32"):
            read_entry(archive, "a")
        with pytest.raises(DamagedZipError, match="a in it can't be read"):
            check_entries(archive, len(damaged))
    with open_zip(archive_of({"a": b"b"}, method=zipfile.ZIP_LZMA)) as archive:
        with pytest.raises(DamagedZipError, match="stored or deflated"):
            read_entry(archive, "a")
        with pytest.raises(DamagedZipError, match="stored or deflated"):
            check_entries(archive, 100)


def test_no_archive_and_a_directory_that_is_too_large_are_refused(monkeypatch):
    for rubbish in (b"", b"rubbish" * 100, b"PK\5\6", b"PK\5\6" + b"\xff" * 18):
        with pytest.raises(DamagedZipError), open_zip(io.BytesIO(rubbish)):
            pass
    many = archive_of({str(number): b"" for number in range(100)})
    monkeypatch.setattr(zip_archive, "LARGEST_DIRECTORY", 4000)
    with pytest.raises(DamagedZipError, match="directory must have 4000 bytes at most"):
        open_zip(many).__enter__()
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 50)  # of records without 64 bits
    with pytest.raises(DamagedZipError, match="directory must have 4000 bytes at most"):
        open_zip(archive_of({str(number): b"" for number in range(100)})).__enter__()


def npy(array, **options):
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def test_arrays_come_back_as_they_were():
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(3)), np.float32(3)):
        np.testing.assert_array_equal(parse_npy(npy(array)), array)
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(3), b=np.eye(2))
    arrays = parse_npz(buffer.getvalue())
    assert sorted(arrays) == ["a", "b"]
    np.testing.assert_array_equal(arrays["b"], np.eye(2))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no .npy file"),
        (b"rubbish!" * 10, "magic"),
        (npy(np.array([{}], object), allow_pickle=True), "of numbers"),
        (npy(np.zeros(3, [("a", "f4")])), "of numbers"),
        (npy(np.zeros((10, 10)))[:-1], r"\(10, 10\) must have 800 bytes. Received: 799"),
        (npy(np.zeros((10, 10))).replace(b"(10, 10)", b"(10**9,)"), "no .npy file"),
        (npy(np.zeros((10, 10))).replace(b"(10, 10)", b"(9999999,9999999)"[:8]), "no .npy file"),
        (npy(np.zeros((10, 10))).replace(b"(10, 10)", b"(-1, 10)"), "shape"),
        (npy(np.zeros((10, 10))).replace(b"(10, 10)", b"((((((((")[:128], "no .npy file"),
    ],
)
def test_arrays_of_objects_or_of_more_than_is_there_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        parse_npy(data)


def test_packed_arrays_are_not_unpacked():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros(1 << 20))
    with pytest.raises(ValueError, match="stored as they are"):
        parse_npz(buffer.getvalue())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\0\n", "NUL"),
        ("a,b\n" + "1" * LONGEST_LINE + ",2\n", "more than 1048576 characters"),
        ("a,b\n" + "1" * 200_000 + ",2\n", "field larger than field limit"),
        ('a,b\n1,"2', "unexpected end"),
        ("a,a\n1,2\n", "each of its columns once"),
        ("a,b\n1\n", "2 cells in each row"),
        (b"a,\xff\n", "utf-8"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, text, message):
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=f"table.csv must .*{message}") as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_being_written_is_read_up_to_its_last_whole_row(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\ufeffa,b\n1,2\n\n3,4\n5")
    assert read_table(path, whole=False) == (
        ["a", "b"],
        [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}],
    )


def test_whatever_a_library_raises_becomes_a_line():
    for error in (KeyError("x"), MemoryError(), AssertionError("a\nb"), zipfile.BadZipFile("c")):
        refused = pytest.raises(InputError, match=r"^FILE cannot be read: .+$")
        with refused as caught, as_damage("FILE cannot be read"):
            raise error
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is error
    with pytest.raises(InputError, match=r"^ours$"), as_damage("FILE"):
        raise InputError("ours")
    with pytest.raises(MissingPackageError), as_damage("FILE"):
        raise MissingPackageError("h5py", "train", "no module")
    with pytest.raises(KeyboardInterrupt), as_damage("FILE"):
        raise KeyboardInterrupt
