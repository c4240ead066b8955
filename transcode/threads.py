"""An ffmpeg that got no threads says nothing about its file, unless the file took the memory that they need."""

from transcode.errors import JailError, TranscodeFailed
from transcode.jail import Cell, Finished, run_jailed
from transcode.log import lacks_threads

# Together they have more threads than a decode of one file or an encode.
_TRACKS = 8
_SILENCE = ("-nostdin", "-filter_threads", "1", "-f", "lavfi", "-i", "anullsrc=d=0.01")


def judge_threads(finished: Finished, cell: Cell, level: str) -> None:
    """Raises JailError where nothing gets threads now, TranscodeFailed where only this file did not."""
    if finished.returncode == 0 or finished.timed_out or finished.spent or not lacks_threads(finished.log):
        return
    tried = run_jailed([*_SILENCE, *("-map", "0:a") * _TRACKS, "-f", "null", "-"], cell, level)
    if tried.returncode != 0:
        raise JailError(f"ffmpeg gets no threads here: {tried.log[-300:]}")
    raise TranscodeFailed("ffmpeg got no threads for this file")
