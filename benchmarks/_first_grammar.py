"""The sentences and speakers that the bundled model learned from: only on what a model knows do word error rates tell
one engine from another. To be removed with that model: the next one knows the grammars of tools/micro."""

import random

from tools.micro.sentences import Grammar
from tools.micro.voices import Voice

_VARIANTS = ("", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2")
_ENGLISH = {
    "name": [
        "Alice",
        "Bob",
        "Carol",
        "David",
        "Emma",
        "Frank",
        "Grace",
        "Henry",
        "Irene",
        "Jack",
        "Karen",
        "Leo",
        "Maria",
        "Nora",
        "Oscar",
        "Paul",
        "Rachel",
        "Sam",
        "Tom",
    ],
    "day": [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "today",
        "tomorrow",
        "tonight",
    ],
    "num": [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "twenty",
        "thirty",
        "forty",
        "fifty",
    ],
    "thing": ["the report", "the contract", "your email", "the invoice", "the slides", "the budget", "the proposal"],
    "place": ["the office", "the station", "the airport", "the coffee shop", "the hotel", "your house", "the library"],
    "verb": ["send me", "look at", "check", "review", "finish", "bring", "print", "share"],
}
_GERMAN = {
    "name": ["Anna", "Peter", "Julia", "Lukas", "Sabine", "Jonas", "Martin", "Klara"],
    "day": ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag", "heute", "morgen"],
    "num": ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"],
    "thing": ["den Bericht", "den Vertrag", "die Rechnung", "den Plan", "das Angebot"],
    "place": ["im Büro", "am Bahnhof", "im Hotel", "zu Hause"],
}
_SPANISH = {
    "name": ["Ana", "Pedro", "Lucía", "Carlos", "Elena", "Miguel", "Sofía", "Pablo"],
    "day": ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"],
    "num": ["uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez"],
    "thing": ["el informe", "el contrato", "la factura", "el plan", "la propuesta"],
    "place": ["en la oficina", "en la estación", "en el hotel", "en casa"],
}
_PATTERNS = {
    "en": [
        "Hi {name}, this is {name}.",
        "Please {verb} {thing}.",
        "Can we meet at {num} on {day}?",
        "I will be at {place} at {num}.",
        "Thank you for {thing}.",
        "Could you {verb} {thing} before {day}?",
        "I am running late, see you at {num}.",
        "Call me back when you can.",
        "Let's talk about {thing} on {day}.",
        "Sorry, I missed your call.",
        "I have {num} questions about {thing}.",
        "No, I can't come on {day}.",
        "We need {num} people at {place}.",
    ],
    "de": [
        "Hallo {name}, hier ist {name}.",
        "Bitte schick mir {thing}.",
        "Ich bin um {num} Uhr {place}.",
        "Danke für deine Nachricht.",
        "Hast du am {day} Zeit?",
        "Ich komme {day} um {num} Uhr.",
        "Wir sehen uns {place}.",
    ],
    "es": [
        "Hola {name}, soy {name}.",
        "Por favor, envíame {thing}.",
        "Estoy {place} a las {num}.",
        "Gracias por tu mensaje.",
        "¿Tienes tiempo el {day}?",
        "Nos vemos {place}.",
        "Voy el {day} a las {num}.",
    ],
}
_VOICES = {"en": ("en-us", "en", "en-gb-scotland", "en-gb-x-rp"), "de": ("de",), "es": ("es", "es-419")}
_SLOTS = {"en": _ENGLISH, "de": _GERMAN, "es": _SPANISH}
_SHARES = {"en": 0.7, "de": 0.15, "es": 0.15}


def grammar(language: str) -> Grammar:
    patterns = {"train": _PATTERNS[language], "held_out": []}
    return Grammar(language, _SHARES[language], _VOICES[language], (), (), _SLOTS[language], patterns)


def draw_sentence(language: str, rng: random.Random) -> str:
    return grammar(language).draw(rng, held_out=False, series=False)


def draw_voice(language: str, rng: random.Random) -> Voice:
    variant = rng.choice(_VARIANTS)
    name = rng.choice(_VOICES[language]) + (f"+{variant}" if variant else "")
    return Voice(name, rng.randint(130, 190), rng.randint(25, 75), 50)
