import itertools
import json
import re

import pytest

from transcribe import Segment, Transcript, Word, corrected, to_json, to_srt, to_text, to_vtt
from transcribe.captions import CUE, LINE, LONGEST_CUE_MS, cues


def spoken(text: str, start_ms: int = 0, each_ms: int = 300) -> Segment:
    words = tuple(
        Word(start_ms + each_ms * n, start_ms + each_ms * (n + 1), word, 0.9) for n, word in enumerate(text.split())
    )
    return Segment(words[0].start_ms, words[-1].end_ms, text, words)


def transcript(*segments: Segment) -> Transcript:
    return Transcript("completed", "en", 0.9, " ".join(s.text for s in segments), segments, "base", -0.2)


SILENT = Transcript("no_speech", None, None, "", (), "base")
LONG = spoken(
    "We will meet on Thursday at the office near the old station because the meeting room was taken by others"
)


def test_text_is_the_text() -> None:
    assert to_text(transcript(spoken("Hi."), spoken("Bye.", 900))) == "Hi. Bye.\n"


def test_silence_is_an_empty_file_of_its_kind() -> None:
    assert to_text(SILENT) == ""
    assert to_vtt(SILENT) == "WEBVTT\n"
    assert to_srt(SILENT) == ""
    assert json.loads(to_json(SILENT))["state"] == "no_speech"


def test_vtt_has_its_header_and_points_in_times() -> None:
    assert to_vtt(transcript(spoken("Hi Bob.", 61_050))) == "WEBVTT\n\n00:01:01.050 --> 00:01:01.750\nHi Bob.\n"


def test_srt_counts_and_has_commas_in_times() -> None:
    srt = to_srt([spoken("Hi Bob.", 1000, 500), spoken("Bye.", 3000, 900)])
    assert srt == "1\n00:00:01,000 --> 00:00:02,000\nHi Bob.\n\n2\n00:00:03,000 --> 00:00:03,900\nBye.\n"


def test_marks_of_the_format_are_only_text() -> None:
    vtt = to_vtt([spoken("<b>1 & 2</b> --> 3")])
    assert "&lt;b&gt;1 &amp; 2&lt;/b&gt; --&gt; 3" in vtt
    assert vtt.count("-->") == 1


def test_long_sentences_are_cut_into_readable_cues() -> None:
    found = cues([LONG])
    assert len(found) > 1
    assert " ".join(cue.text for cue in found) == LONG.text
    assert all(len(cue.text) <= CUE and cue.end_ms - cue.start_ms <= LONGEST_CUE_MS for cue in found)
    lines = [line for line in to_srt([LONG]).splitlines() if re.match(r"[A-Za-z]", line)]
    assert all(len(line) <= LINE + 10 for line in lines)


def test_slow_speech_is_cut_by_time() -> None:
    found = cues([spoken("one two three four five six", each_ms=3000)])
    assert [cue.text for cue in found] == ["one two", "three four", "five six"]


def test_cues_never_overlap_nor_stand_for_no_time() -> None:
    found = cues([spoken("a b", 500, 0), spoken("c", 500, 0), spoken("d", 400, 2000), spoken("e", 1000, 100)])
    assert all(cue.start_ms < cue.end_ms for cue in found)
    assert all(cue.end_ms <= following.start_ms for cue, following in itertools.pairwise(found))


def test_without_word_times_a_segment_is_shared_out_by_its_letters() -> None:
    found = cues([Segment(0, 12_000, LONG.text)])
    assert " ".join(cue.text for cue in found) == LONG.text
    assert found[0].start_ms == 0
    assert found[-1].end_ms == 12_000


def test_scripts_without_spaces_stay_without() -> None:
    words = tuple(Word(n * 100, n * 100 + 100, c, 0.9) for n, c in enumerate("今日は会議があります"))
    assert cues([Segment(0, 1000, "今日は会議があります", words)])[0].text == "今日は会議があります"


def test_line_breaks_in_a_text_do_not_end_its_cue() -> None:
    assert "\n\n" not in to_vtt([Segment(0, 900, "one\n\ntwo")]).removeprefix("WEBVTT\n\n")


def test_json_is_readable_and_keeps_letters() -> None:
    document = json.loads(to_json(transcript(spoken("¿Qué tal?"))))
    assert document["text"] == "¿Qué tal?"
    assert document["segments"][0]["words"][0] == {"start_ms": 0, "end_ms": 300, "text": "¿Qué", "probability": 0.9}


def test_a_corrected_word_takes_the_time_of_the_wrong_one() -> None:
    fixed = corrected(transcript(spoken("Hi Anna, this is Marc.")), "Hi Hanna, this is Mark.")
    words = fixed.segments[0].words
    assert fixed.text == "Hi Hanna, this is Mark."
    assert [word.text for word in words] == ["Hi", "Hanna,", "this", "is", "Mark."]
    assert (words[1].start_ms, words[1].end_ms) == (300, 600)
    assert words[4].end_ms == 1500


@pytest.mark.parametrize(
    "text", ["", "one", "Something wholly different. Twice.", "Hi Anna, this is really me, Marc. Bye."]
)
def test_any_correction_makes_orderly_captions(text: str) -> None:
    fixed = corrected(transcript(spoken("Hi Anna, this is Marc."), spoken("See you soon.", 2000)), text)
    assert " ".join(word.text for segment in fixed.segments for word in segment.words) == text
    words = [word for segment in fixed.segments for word in segment.words]
    assert all(word.start_ms <= word.end_ms for word in words)
    assert all(word.end_ms <= following.start_ms for word, following in itertools.pairwise(words))


def test_a_correction_that_would_take_seconds_to_compare_is_laid_over_the_whole() -> None:
    fixed = corrected(transcript(spoken(" ".join(["na"] * 200))), "na x " * 2500)
    words = [word for segment in fixed.segments for word in segment.words]
    assert (len(words), words[0].start_ms, words[-1].end_ms) == (5000, 0, 60_000)
    assert all(word.end_ms == following.start_ms for word, following in itertools.pairwise(words))


def test_a_text_written_for_silence_is_captioned_too() -> None:
    assert corrected(SILENT, "He only breathes.").segments[0].text == "He only breathes."
