"""Text as the search compares it: which dictionary stems a language, and folding, which takes case and accents away."""

import re
import unicodedata
from functools import lru_cache

# Postgres's own configurations by the language codes that speech models give.
CONFIGS = {
    "ar": "arabic",
    "hy": "armenian",
    "eu": "basque",
    "ca": "catalan",
    "da": "danish",
    "nl": "dutch",
    "en": "english",
    "fi": "finnish",
    "fr": "french",
    "de": "german",
    "el": "greek",
    "hi": "hindi",
    "hu": "hungarian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "no": "norwegian",
    "nn": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "es": "spanish",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
SIMPLE = "simple"
# Scripts written without blanks: each letter is a word, and what people look for is a phrase of them.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)


def config_of(language: str | None) -> str:
    return CONFIGS.get(language or "", SIMPLE)


def fold(text: str) -> str:
    """`Straße` and `STRASSE` become the same, so do `Zoë` and `zoe`."""
    return text.lower() if text.isascii() else "".join(fold_letter(letter) for letter in text)


@lru_cache(maxsize=4096)
def fold_letter(letter: str) -> str:
    decomposed = unicodedata.normalize("NFKD", letter.casefold())
    kept = "".join(part for part in decomposed if not unicodedata.combining(part))
    return f" {kept} " if _UNSPACED.match(letter) else kept
