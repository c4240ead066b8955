"""Whose fault it is when nothing can be encoded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from transcode import TranscodeFailed, TranscodeSettings, transcode

# Two seconds of PCM, and not much more than a page for what is encoded of it.
FULL = """if True:
    import sys
    from pathlib import Path
    from transcode import TranscodeSettings, transcode
    try:
        transcode(Path(sys.argv[1]), Path(sys.argv[2]), TranscodeSettings())
    except Exception as error:
        print(type(error).__name__, error)
"""
SMALL_DISK = 'mount -t tmpfs -o size=388k none "$1" && exec "$2" -c "$3" "$4" "$1"'


def test_an_encoder_that_gives_up_by_itself_is_not_tried_for_ever(spoken: Path, folder: Path) -> None:
    """No limiter goes as low as that."""
    with pytest.raises(TranscodeFailed, match="out of range"):
        transcode(spoken, folder, TranscodeSettings(true_peak_dbtp=-100))


@pytest.mark.skipif(sys.platform != "linux", reason="needs namespaces")
def test_an_encoder_without_disk_waits(spoken: Path, folder: Path) -> None:
    apart = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK, "sh")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*apart, folder, sys.executable, FULL, spoken]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        pytest.skip(f"no namespaces here: {done.stderr[-300:]}")
    assert done.stdout.startswith("JailError encoding failed")
    assert "No space left" in done.stdout
