import hashlib

from fercore.runs.doctor import check_file


def test_a_file_is_checked_against_the_sum_beside_it(tmp_path):
    file = tmp_path / "faces.parquet"
    sums = tmp_path / "faces.parquet.sha256"
    mend: list[str] = []
    assert check_file(file, mend) == "missing"
    file.write_bytes(b"faces")
    assert check_file(file, mend) == "unchecked"
    assert len(mend) == 2
    sums.write_text(f"{hashlib.sha256(b'faces').hexdigest()}  faces.parquet\n")
    assert check_file(file, mend) == "intact"
    assert len(mend) == 2
    file.write_bytes(b"fades")
    assert check_file(file, mend) == "damaged"
    assert "is not what was shipped" in mend[-1]
