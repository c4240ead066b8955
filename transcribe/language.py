from collections.abc import Collection, Mapping
from dataclasses import dataclass

from transcribe.errors import TranscribeError

# Below these a detection is unsure; a short clip needs more certainty than a long one.
SURE = 0.5
SURE_WHEN_SHORT = 0.8
SHORT_S = 4.0
# What a prior leaves to the languages it does not name, so that it never rules one out.
UNNAMED_WEIGHT = 0.02
# So many language codes tell a reader less than an example does.
MANY = 10


@dataclass(frozen=True)
class Language:
    """`probability` is the model's own, before allow-list and prior; None when the language was given."""

    code: str
    probability: float | None


def choose_language(
    probabilities: Mapping[str, float], *, allowed: Collection[str], prior: Mapping[str, float], speech_s: float
) -> Language:
    """The most probable allowed language; where that is unsure, the prior takes part in the decision."""
    candidates = {code: p for code, p in probabilities.items() if not allowed or code in allowed}
    best = max(candidates, key=lambda code: candidates[code])
    short = speech_s < SHORT_S
    if prior and candidates[best] < (SURE_WHEN_SHORT if short else SURE):
        best = _by_prior(candidates, prior, short)
    return Language(best, round(probabilities[best], 4))


def is_doubtful(probability: float | None, speech_s: float) -> bool:
    """Whether a detection on so little speech should give way to what the rest of the recording says."""
    return probability is not None and speech_s < SHORT_S and probability < SURE_WHEN_SHORT


def canonical_language(language: str, supported: Collection[str]) -> str:
    """`pt-BR` is `pt` to the model. Raises TranscribeError `unknown_language`."""
    code = language.strip().lower().replace("_", "-").split("-")[0]
    if code not in supported:
        known = ", ".join(sorted(supported)) if len(supported) < MANY else "a code such as en, de, es"
        raise TranscribeError(
            "unknown_language", f"the model knows no language {language!r}: give {known}, or none to detect it"
        )
    return code


def _by_prior(candidates: Mapping[str, float], prior: Mapping[str, float], short: bool) -> str:
    total = sum(prior.get(code, 0.0) for code in candidates)
    weights = {code: (prior.get(code, 0.0) / total if total else 0.0) for code in candidates}
    usual = max(candidates, key=lambda code: weights[code])
    if short and weights[usual] > 0 and max(candidates.values()) < SURE:
        return usual
    return max(candidates, key=lambda code: candidates[code] * (weights[code] + UNNAMED_WEIGHT))
