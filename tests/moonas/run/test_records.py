import math

import numpy as np
import pytest

from moonas.run.records import (
    DamagedRun,
    decode_record,
    decode_result,
    encode_record,
    encode_result,
    read_records,
    remove_incomplete_line,
)


def test_a_record_is_encoded_in_the_same_format_as_in_older_journals():
    line = encode_record({"call": 0, "kind": "train"})
    assert line == b'{"call": 0, "kind": "train", "crc": "3865f574"}\n'


def test_decoding_an_encoded_record_returns_the_same_record():
    record = {"call": 3, "x": [1, 2.5, None, "a\nb"]}
    decoded = decode_record(encode_record(record).removesuffix(b"\n"))
    assert {key: value for key, value in decoded.items() if key != "crc"} == record


@pytest.mark.parametrize("line", [b"", b"{", b"[1]", b'{"call": 1}', b'{"crc": "00000000"}'])
def test_an_invalid_line_is_decoded_to_none(line):
    assert decode_record(line) is None


def test_decoding_an_encoded_result_restores_arrays_and_nan():
    result = {"error": np.array([1.0, math.nan]), "seconds": math.nan, "n": 3, "name": "a"}
    encoded = encode_result(result)
    assert encoded == {"error": [1.0, None], "seconds": None, "n": 3, "name": "a"}
    decoded = decode_result(encoded)
    assert np.array_equal(decoded["error"], result["error"], equal_nan=True)
    assert math.isnan(decoded["seconds"]) and decoded["n"] == 3 and decoded["name"] == "a"


def test_an_incomplete_last_line_is_ignored_and_with_repair_also_removed(tmp_path):
    path, complete = tmp_path / "a.jsonl", encode_record({"call": 0})
    path.write_bytes(complete + encode_record({"call": 1})[:9])
    assert [record["call"] for record in read_records(path, advice="")] == [0]
    assert path.read_bytes() != complete
    assert len(read_records(path, advice="", repair=True)) == 1
    assert path.read_bytes() == complete and remove_incomplete_line(path) == len(complete)
    assert (
        read_records(tmp_path / "none", advice="") == []
        and remove_incomplete_line(tmp_path / "none") == 0
    )


def test_a_changed_line_raises_an_error_that_contains_the_advice(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(encode_record({"call": 0}) + encode_record({"call": 1}).replace(b"1", b"2", 1))
    with pytest.raises(DamagedRun, match=r"a\.jsonl is damaged in line 2: remove it"):
        read_records(path, advice="remove it")
