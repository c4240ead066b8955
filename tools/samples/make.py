"""Makes the recordings in pipeline/samples: synthetic speech in the containers that phones and browsers send.

Needs espeak-ng. Run `python -m tools.samples.make` again after a change here, or when the bundled model
no longer understands a sample; the same script and the same espeak-ng give the same files.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from imageio_ffmpeg import get_ffmpeg_exe

FOLDER: Final = Path(__file__).resolve().parents[2] / "pipeline" / "samples"
SPEECH_RATE: Final = 22_050
NOISE_SEED: Final = 7
BITEXACT: Final = ("-fflags", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1")

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """One shipped recording: what is said by whom, and how it is packed."""

    file: str
    sender: str
    language: str | None
    text: str
    voice: str
    container: str
    encoding: tuple[str, ...]


RECORDINGS: Final = (
    Recording(
        "meeting.m4a",
        "alice",
        "en",
        "Hi Bob, this is Alice. Can we meet at three on Thursday? I have two questions about the contract.",
        "en-gb+f2",
        "MP4 with AAC, as iPhones record",
        ("-ar", "44100", "-c:a", "aac", "-b:a", "48k", "-f", "ipod"),
    ),
    Recording(
        "answer.webm",
        "bob",
        "en",
        "Yes, that works for me. I will be at the coffee shop at three.",
        "en-gb+m3",
        "WebM with Opus and no duration, as MediaRecorder makes it",
        ("-ar", "48000", "-c:a", "libopus", "-b:a", "32k", "-live", "1", "-f", "webm"),
    ),
    Recording(
        "late.ogg",
        "bob",
        "en",
        "I just left the airport. I am running late, see you at ten.",
        "en-gb+m3",
        "Ogg with Opus",
        ("-ar", "48000", "-c:a", "libopus", "-b:a", "24k", "-f", "ogg"),
    ),
    Recording(
        "vertrag.mp3",
        "alice",
        "de",
        "Hallo Peter, hier ist Anna. Bitte schick mir den Vertrag. Ich bin um neun Uhr im Büro.",
        "de+f2",
        "MP3",
        ("-ar", "44100", "-c:a", "libmp3lame", "-b:a", "64k", "-f", "mp3"),
    ),
    Recording(
        "informe.flac",
        "bob",
        "es",
        "Hola Elena, soy Carlos. Por favor, envíame el informe. Nos vemos en la oficina.",
        "es+m3",
        "FLAC",
        ("-ar", "16000", "-c:a", "flac", "-f", "flac"),
    ),
    Recording(
        "stereo.wav",
        "alice",
        "en",
        "Please review the slides.",
        "en-us+f2",
        "WAV, stereo, 44.1 kHz",
        ("-ar", "44100", "-ac", "2", "-c:a", "pcm_s16le", "-f", "wav"),
    ),
    Recording(
        "code.caf",
        "bob",
        "en",
        "The code is four seven one nine.",
        "en-gb+m3",
        "Core Audio with ALAC",
        ("-ar", "16000", "-c:a", "alac", "-f", "caf"),
    ),
    Recording(
        "call.3gp",
        "alice",
        "en",
        "Sorry, I missed your call. Call me back when you can.",
        "en-us+f2",
        "3GP with narrow-band AMR, as old phones record",
        ("-ar", "8000", "-c:a", "libopencore_amrnb", "-b:a", "12.2k", "-f", "3gp"),
    ),
    Recording(
        "room.m4a",
        "bob",
        None,
        "",
        "",
        "MP4 with AAC, an empty room",
        ("-ar", "44100", "-c:a", "aac", "-b:a", "48k", "-f", "ipod"),
    ),
)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    listing = [make(recording) for recording in RECORDINGS]
    (FOLDER / "samples.json").write_text(json.dumps(listing, ensure_ascii=False, indent=1) + "\n", "utf-8")


def make(recording: Recording) -> dict[str, object]:
    """Writes one recording into FOLDER and returns its entry of samples.json."""
    sound = speak(recording.text, recording.voice) if recording.text else room_noise(seconds=4.0)
    pack(sound, recording)
    entry = {key: value for key, value in asdict(recording).items() if key not in ("voice", "encoding")}
    return entry | {"seconds": round(len(sound) / SPEECH_RATE, 2)}


def speak(text: str, voice: str) -> Samples:
    """espeak-ng's reading of a text between two short rests: float32 mono at SPEECH_RATE."""
    command = ["espeak-ng", "-v", voice, "-s", "150", "--stdout", text]
    # espeak-ng streams, so its header names no true length: skip its 44 bytes.
    wave = subprocess.run(command, check=True, capture_output=True).stdout[44:]
    rest = np.zeros(int(0.3 * SPEECH_RATE), np.float32)
    return np.concatenate([rest, np.frombuffer(wave, "<i2").astype(np.float32) / 32_768, rest])


def room_noise(seconds: float) -> Samples:
    """A quiet room at about -58 dBFS: noise that falls with frequency, as ventilation does."""
    count = int(seconds * SPEECH_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(NOISE_SEED).standard_normal(count))
    spectrum /= 1 + np.fft.rfftfreq(count, 1 / SPEECH_RATE) / 150
    noise = np.fft.irfft(spectrum, count)
    quiet: Samples = (noise / noise.std() * 10 ** (-58 / 20)).astype(np.float32)
    return quiet


def pack(sound: Samples, recording: Recording) -> None:
    """Encodes float32 mono samples as the recording asks."""
    pcm = np.round(sound * 32_767).astype("<i2").tobytes()
    source = ["-f", "s16le", "-ar", str(SPEECH_RATE), "-ac", "1", "-i", "pipe:0"]
    command = [get_ffmpeg_exe(), "-v", "error", "-y", *source, *recording.encoding, *BITEXACT]
    subprocess.run([*command, str(FOLDER / recording.file)], input=pcm, check=True)


if __name__ == "__main__":
    main()
