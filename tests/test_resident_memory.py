from experiments import resident_memory
from experiments.resident_memory import peak_bytes, resident_bytes


def test_the_peak_is_at_least_what_is_resident(monkeypatch, tmp_path):
    assert 2**24 < resident_bytes() <= peak_bytes()
    expected = peak_bytes()
    monkeypatch.setattr(resident_memory, "Path", lambda name: tmp_path / "nowhere")  # as on macOS
    assert resident_bytes() >= 0.9 * expected
    assert peak_bytes() >= 0.9 * expected
    status = tmp_path / "status"
    status.write_text("Name:\tpython\n")  # a kernel that does not report resident memory
    monkeypatch.setattr(resident_memory, "Path", lambda name: status)
    assert peak_bytes() >= 0.9 * expected
