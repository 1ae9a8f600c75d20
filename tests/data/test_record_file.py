"""Records are found in one pass and read by their number, whatever stands in their texts and however many there are."""

from __future__ import annotations

import json
import pickle
import tracemalloc

import pytest
from training_sets import write_records

from medsight_core.data.record_file import RecordFile
from medsight_core.errors import InputError, NotFoundError

RECORDS = [
    {"id": "a", "text": 'braces } { and [brackets], a \\ backslash and "quotes"'},
    {},
    {"nested": {"deeper": {"deepest": [{"x": 1}, {}]}}, "text": "äöü 中文\n"},
    {"text": '\\"', "empty": {}, "last": "\\\\"},
]


@pytest.mark.parametrize("options", [{}, {"indent": 2}, {"ensure_ascii": False, "separators": (",", ":")}])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_list_in_any_layout_is_read_record_by_record(tmp_path, options, mark):
    path = tmp_path / "records.json"
    path.write_text(mark + "\n" + json.dumps(RECORDS, **options) + "\n", encoding="utf-8")
    records = RecordFile(path)
    assert len(records) == 4
    assert [records[i] for i in (2, 0, -1, 1)] == [RECORDS[i] for i in (2, 0, 3, 1)]
    assert list(records) == RECORDS


def test_lines_are_records_and_blank_lines_are_not(tmp_path):
    path = tmp_path / "records.jsonl"
    lines = [json.dumps(record, ensure_ascii=False) for record in RECORDS]
    path.write_text("\n\n".join(lines[:2]) + "\r\n" + "\n".join(lines[2:]), encoding="utf-8")
    assert list(RecordFile(path)) == RECORDS


def test_a_list_under_a_key_is_found_among_others(tmp_path):
    path = tmp_path / "coco.json"
    lists = {"info": {"about": 'not the "annotations": [{}]'}, "images": [{"id": 1}], "annotations": RECORDS}
    path.write_text(json.dumps(lists))
    assert list(RecordFile(path, "annotations")) == RECORDS
    assert list(RecordFile(path, "images")) == [{"id": 1}]


@pytest.mark.parametrize("text", ["[]", " [ ] "])
def test_an_empty_list_has_no_records(tmp_path, text):
    (tmp_path / "records.json").write_text(text)
    assert len(RecordFile(tmp_path / "records.json")) == 0


def test_a_copy_in_another_process_reads_for_itself(tmp_path):
    records = RecordFile(write_records(tmp_path / "records.json", RECORDS))
    copy = pickle.loads(pickle.dumps(records))
    assert list(copy) == RECORDS


def test_a_large_file_is_not_held_in_memory(tmp_path):
    count, path = 20_000, tmp_path / "records.json"
    with path.open("w") as file:
        for n in range(count):
            turns = [{"from": "human", "value": "{} " * 100}, {"from": "gpt", "value": "x" * 300}]
            file.write(("," if n else "[") + json.dumps({"id": n, "conversations": turns}))
        file.write("]")
    tracemalloc.start()
    records = RecordFile(path)
    found = [records[n]["id"] for n in (0, 12_345, count - 1)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (len(records), found) == (count, [0, 12_345, count - 1])
    assert path.stat().st_size > 12_000_000
    assert peak < 1_000_000


def refusal(path, key=None) -> str:
    with pytest.raises(InputError) as caught:
        list(RecordFile(path, key))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"a": 1}, 7]', "Record 1 of '{path}' is not an object in braces: repair the file, or copy it again."),
        ('[{"a": 1}, ]', "Record 1 of '{path}' is not an object in braces: repair the file, or copy it again."),
        ('[{"a": {"b": 1}, "c": "cut o', "Record 0 of '{path}' has no end: repair the file, or copy it again."),
        ('[{"a": 1}, {"b": {"c": 2}', "Record 1 of '{path}' has no end: repair the file, or copy it again."),
        (
            '[{"a": 1} {"b": 2}]',
            "Record 0 of '{path}' is followed by neither a comma nor the end of the list: repair the file, or copy it "
            "again.",
        ),
        ("", "'{path}' does not hold a list of records in brackets: check that it is the right file."),
        ('{"a": 1}', "'{path}' does not hold a list of records in brackets: check that it is the right file."),
        (
            '[{"a": 1}, {"b": nil}]',
            "Record 1 of '{path}' is not valid JSON (Expecting value: line 1 column 7 (char 6)): repair the file.",
        ),
    ],
)
def test_a_damaged_list_is_refused_with_the_record(tmp_path, text, expected):
    path = tmp_path / "records.json"
    path.write_text(text)
    assert refusal(path) == expected.format(path=path)


def test_a_damaged_line_is_refused_with_its_record(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"a": 1}\n[2]\n')
    assert refusal(path) == f"Record 1 of '{path}' is not an object in braces: repair the file, or copy it again."
    path.write_bytes(b'{"a": "\xff"}\n')
    assert refusal(path).startswith(f"Record 0 of '{path}' is not valid JSON ('utf-8' codec")


def test_what_is_no_file_of_records_is_refused(tmp_path):
    path = write_records(tmp_path / "records.json", RECORDS)
    assert refusal(path, "images") == f"'{path}' has no list 'images': check that it is the right file."
    with pytest.raises(NotFoundError) as caught:
        RecordFile(tmp_path / "none.json")
    assert str(caught.value) == f"There is no file '{tmp_path / 'none.json'}': check the path."
    (tmp_path / "records.csv").write_text("a,b")
    expected = f"'{tmp_path / 'records.csv'}' is neither .json nor .jsonl: give records in one of these formats."
    assert refusal(tmp_path / "records.csv") == expected
