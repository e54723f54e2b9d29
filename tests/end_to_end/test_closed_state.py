"""A node leaves a mark when it is stopped in order, and trusts only a file that fits it."""

from pathlib import Path

from hookline.node.storage.closing_mark import CLOSING_MARK_FILE
from tests.end_to_end.processes import NodeProcess

JOB = {"url": "http://127.0.0.1:9/", "delay": "1h", "id": "kept"}


def test_the_mark_is_there_after_a_stop_only_and_a_changed_file_is_refused(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "data")
    mark, state = node.data_dir / CLOSING_MARK_FILE, node.data_dir / "state.db"
    node.start()
    assert node.call("POST", "/jobs", JOB)[0] == 201
    assert node.stop() == 0
    assert mark.exists()
    node.start()
    assert not mark.exists()
    assert node.call("GET", "/jobs/kept")[0] == 200
    node.kill()
    assert not mark.exists()
    node.start()
    assert node.stop() == 0
    content = bytearray(state.read_bytes())
    content[4096:8192] = b"\xa5" * 4096
    state.write_bytes(content)
    node.spawn()
    assert "state.db" in node.failed()
