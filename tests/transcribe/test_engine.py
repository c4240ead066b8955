import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from ctranslate2 import StorageView

from tests.transcribe.recordings import Recording, joined, read, recordings, said
from transcribe import Clip, TranscribeError, TranscribeSettings, Transcript
from transcribe.check import word_error_rate
from transcribe.clip import SAMPLE_RATE
from transcribe.decoding import FULL_FRAMES, Policy
from transcribe.engine import FittedEngine
from transcribe.loading import MICRO_PROMPT, load
from transcribe.protocol import Outcome


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: str(recording.name))
def test_a_recording_is_read_word_for_word_in_its_language(engine: FittedEngine, recording: Recording) -> None:
    (outcome,) = engine.transcribe([recording.clip])

    transcript = read(outcome)
    assert transcript.state == "completed"
    assert said(recording, transcript)
    assert transcript.language == recording.language
    assert transcript.language_probability is not None
    assert 0.5 < transcript.language_probability <= 1
    assert transcript.model == "micro"


def test_words_lie_in_order_inside_the_recording(engine: FittedEngine) -> None:
    for recording, outcome in zip(
        recordings(), engine.transcribe([recording.clip for recording in recordings()]), strict=True
    ):
        segments = read(outcome).segments
        words = [word for segment in segments for word in segment.words]
        assert [word.text for word in words] == read(outcome).text.split()
        for word, following in itertools.pairwise(words):
            assert 0 <= word.start_ms <= word.end_ms <= following.start_ms
        assert words[-1].end_ms <= len(recording.samples) / SAMPLE_RATE * 1000
        assert all(0 <= word.probability <= 1 for word in words)
        for segment in segments:
            assert segment.text.split() == [word.text for word in segment.words]
            assert (segment.start_ms, segment.end_ms) == (segment.words[0].start_ms, segment.words[-1].end_ms)


def test_a_sentence_is_a_segment(engine: FittedEngine) -> None:
    recording = recordings()[0]

    transcript = read(engine.transcribe([recording.clip])[0])

    assert len(transcript.segments) == len(re.findall(r"[.?!]", recording.text))
    assert all(segment.text[-1] in ".?!" for segment in transcript.segments)


def test_without_word_times_the_text_is_the_same() -> None:
    plain_engine = load(TranscribeSettings(model="micro", word_timestamps=False))

    outcomes = [read(outcome) for outcome in plain_engine.transcribe([r.clip for r in recordings()])]

    assert all(map(said, recordings(), outcomes))
    assert all(segment.words == () for outcome in outcomes for segment in outcome.segments)
    assert plain_engine.reader.work.aligns == 0


@pytest.mark.parametrize("context", ["fitted", "full"])
def test_both_contexts_read_the_same(context: str) -> None:
    settings = TranscribeSettings.model_validate({"model": "micro", "speech_context": context})
    outcomes = load(settings).transcribe([recording.clip for recording in recordings()])
    assert all(said(recording, read(outcome)) for recording, outcome in zip(recordings(), outcomes, strict=True))


def test_a_minute_of_speech_is_stitched_without_loss(engine: FittedEngine) -> None:
    samples, texts = joined(59.0)

    transcript = read(engine.transcribe([Clip(samples)])[0])

    assert word_error_rate([" ".join(texts)], [transcript.text]) < 0.05
    words = [word for segment in transcript.segments for word in segment.words]
    assert all(word.end_ms <= following.start_ms for word, following in itertools.pairwise(words))
    assert words[-1].end_ms > 50_000


def test_speech_behind_a_long_silence_keeps_its_place(engine: FittedEngine) -> None:
    recording = recordings()[1]
    silence = np.zeros(20 * SAMPLE_RATE, np.float32)

    transcript = read(engine.transcribe([Clip(np.concatenate([silence, recording.samples, silence]))])[0])

    assert said(recording, transcript)
    assert 19_500 <= transcript.segments[0].start_ms <= 21_000


def test_bad_clips_are_told_apart_and_harm_no_neighbour(engine: FittedEngine) -> None:
    good = recordings()[0]
    unreadable = good.samples.copy()
    unreadable[1000] = np.nan
    clips = [
        Clip(unreadable),
        good.clip,
        Clip(np.zeros(0, np.float32)),
        Clip(np.zeros(62 * SAMPLE_RATE, np.float32)),
        good.clip,
        Clip(np.zeros((2, 100), np.float32)),
        replace(good.clip, language="klingon"),
        Clip(np.full(SAMPLE_RATE, np.inf, np.float32)),
    ]

    outcomes = engine.transcribe(clips)

    codes = [outcome.code if isinstance(outcome, TranscribeError) else outcome.state for outcome in outcomes]
    assert codes == [
        "bad_audio",
        "completed",
        "bad_audio",
        "too_long",
        "completed",
        "bad_audio",
        "unknown_language",
        "bad_audio",
    ]
    assert outcomes[1] == outcomes[4] == engine.transcribe([good.clip])[0]


def test_a_row_the_model_refuses_fails_alone(engine: FittedEngine) -> None:
    good, bad = engine.rows([recordings()[0].clip, recordings()[1].clip])[:2]
    same = {"frames": good.frames, "mel": good.mel, "prompt": (50361,) * 500}

    found = engine.read_group([good, replace(bad, clip=7, **same)])

    outcome = dict(found)
    assert isinstance(outcome[7], TranscribeError)
    assert outcome[7].code == "engine_failed"
    assert not isinstance(outcome[0], TranscribeError)


def test_no_clips_are_no_work(engine: FittedEngine) -> None:
    assert engine.transcribe([]) == []


def test_the_order_of_clips_is_the_order_of_answers(engine: FittedEngine) -> None:
    clips = [recording.clip for recording in recordings()]

    forwards, backwards = engine.transcribe(clips), engine.transcribe(clips[::-1])

    assert forwards == backwards[::-1]


def test_a_live_message_is_read_while_a_batch_is_in_hand(engine: FittedEngine) -> None:
    batch = [Clip(joined(50.0)[0])] * 4
    live: list[Transcript] = []
    done: list[str] = []

    def between() -> None:
        if not live:
            live.append(read(engine.transcribe([recordings()[1].clip])[0]))
            done.append("live")

    engine.transcribe(batch, between)
    done.append("batch")

    assert done == ["live", "batch"]
    assert said(recordings()[1], live[0])


def test_a_live_message_need_not_wait_until_a_batch_is_searched_for_speech(engine: FittedEngine) -> None:
    hum = (0.2 * np.sin(np.arange(60 * SAMPLE_RATE) / 50)).astype(np.float32)
    live: list[Outcome] = []

    outcomes = engine.transcribe([Clip(hum)] * 4, lambda: live.extend(engine.transcribe([recordings()[1].clip])))

    assert [read(outcome).state for outcome in outcomes] == ["no_speech"] * 4
    assert all(said(recordings()[1], read(outcome)) for outcome in live)
    assert len(live) > 1


def test_a_live_message_waits_for_no_call_of_the_model_that_a_batch_has_made(engine: FittedEngine) -> None:
    model = engine.reader.model
    features = StorageView.from_array(np.zeros((6, model.n_mels, FULL_FRAMES), np.float32))
    prompts = [[*engine.reader.tokenizer.sot_sequence]] * 6
    batch = [
        call for _ in range(engine.device.workers) for call in model.generate(features, prompts, asynchronous=True)
    ]

    (outcome,) = engine.transcribe([recordings()[1].clip])

    assert said(recordings()[1], read(outcome))
    assert not any(call.done() for call in batch)
    assert all(call.result() for call in batch)


def test_a_failure_between_groups_is_the_callers_and_leaves_the_engine_usable(engine: FittedEngine) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.transcribe([recording.clip for recording in recordings()], stop)

    assert said(recordings()[0], read(engine.transcribe([recordings()[0].clip])[0]))


def test_a_given_language_is_obeyed_and_not_measured(engine: FittedEngine) -> None:
    recording = recordings()[0]

    as_spoken, as_told = engine.transcribe(
        [replace(recording.clip, language="en-GB"), replace(recording.clip, language="de")]
    )

    assert (read(as_spoken).language, read(as_spoken).language_probability) == ("en", None)
    assert said(recording, read(as_spoken))
    assert read(as_told).language == "de"


def test_only_allowed_languages_are_detected() -> None:
    allowed = load(TranscribeSettings(model="micro", languages=("de", "es")))

    transcript = read(allowed.transcribe([recordings()[0].clip])[0])

    assert transcript.language in ("de", "es")
    assert transcript.language_probability is not None
    assert transcript.language_probability < 0.5


def test_a_prompt_longer_than_the_budget_is_cut(engine: FittedEngine) -> None:
    clip = replace(recordings()[0].clip, prompt="Anna, Bob, Carlos, Dvořák, " * 200)

    (outcome,) = engine.transcribe([clip])

    assert read(outcome).state == "completed"
    assert len(engine.reader.prompt_tokens(clip.prompt or "")) == MICRO_PROMPT + 1


def test_names_are_cut_before_the_operators_terms_are(engine: FittedEngine) -> None:
    clip = replace(recordings()[0].clip, prompt="Anna, Bob, Carlos, " * 200)

    (row, *_) = replace(engine, hotwords="Dvořák").rows([clip])

    assert len(row.prompt) == MICRO_PROMPT + 1
    assert engine.reader.tokenizer.decode(list(row.prompt[1:])).startswith(" Dvořák, Anna, Bob")


def test_what_looks_wrong_is_read_again_in_full_and_never_without_end() -> None:
    doubtful = load(TranscribeSettings(model="micro"), Policy(lowest_logprob=-0.0001, temperatures=(0.4, 0.8)))

    transcript = read(doubtful.transcribe([recordings()[0].clip])[0])

    work = doubtful.reader.work
    rows = len(doubtful.rows([recordings()[0].clip]))
    assert said(recordings()[0], transcript)
    assert transcript.segments[0].words
    assert work.retried_rows == rows
    assert work.decodes <= rows * (1 + 1 + 2)
