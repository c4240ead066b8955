"""Finding messages by what was said or written, among those that the viewer may see.

A document holds every word twice: stemmed by its language's dictionary, and folded but whole, for names, beginnings
of words, phrases and words that a dictionary leaves out.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Text, delete, func, literal, or_, select, text
from sqlalchemy.dialects.postgresql import REGCONFIG, TSQUERY, insert

from storage.languages import CONFIGS, SIMPLE, config_of, fold
from storage.tables import participants, search_entries, transcripts, voices
from storage.word_times import unpack

MAX_TERMS = 12
_TERM = re.compile(r'"([^"]*)"?|([^\s"]+)')


@dataclass(frozen=True)
class Term:
    """A word, found by its beginning and its other forms, or an exact phrase."""

    text: str
    is_phrase: bool

    @property
    def folded(self) -> str:
        return " ".join(fold(self.text).split())


@dataclass(frozen=True)
class Hit:
    """`words` are the places and starts of the words of `spoken`, the machine's text, which `body` may correct."""

    message_id: str
    config: str
    body: str
    spoken: str | None
    words: list[tuple[int, int]]


def terms_of(query: str) -> list[Term]:
    """Words, and phrases in double quotes. Empty when there is no letter or digit in it."""
    found = [Term(phrase or word, bool(phrase)) for phrase, word in _TERM.findall(query)]
    return [term for term in found if any(letter.isalnum() for letter in term.folded)][:MAX_TERMS]


def find(
    connection: Connection, viewer: str, terms: Sequence[Term], *, thread_id: str | None, limit: int, before: str | None
) -> list[Hit]:
    """The newest messages that match all terms; `before` is the last message's id of the page before."""
    by_query = _queries(connection, terms)
    if not by_query:
        return []
    # The index is asked once for all languages, then each entry must match as its own language has it.
    query = _visible(viewer).where(_matches(" | ".join(f"({each})" for each in by_query)))
    if len(by_query) > 1:
        languages = (search_entries.c.config.in_(configs) & _matches(each) for each, configs in by_query.items())
        query = query.where(or_(*languages))
    if thread_id is not None:
        query = query.where(search_entries.c.thread_id == thread_id)
    if before is not None:
        query = query.where(search_entries.c.message_id < before)
    rows = connection.execute(query.order_by(search_entries.c.message_id.desc()).limit(limit))
    return [Hit(row.message_id, row.config, row.body, row.spoken, unpack(row.word_times or b"")) for row in rows]


def inflected(connection: Connection, words: Sequence[tuple[str, str]], terms: Sequence[Term]) -> set[tuple[str, str]]:
    """Those (configuration, word) that are a form of one of the terms."""
    asked = [term.text for term in terms if not term.is_phrase]
    if not words or not asked:
        return set()
    rows = connection.execute(
        text(
            "SELECT DISTINCT config, word"
            " FROM unnest(CAST(:configs AS text[]), CAST(:words AS text[])) AS heard(config, word),"
            " unnest(CAST(:asked AS text[])) AS term"
            " WHERE to_tsvector(config::regconfig, word) @@ plainto_tsquery(config::regconfig, term)"
        ),
        {"configs": [config for config, _ in words], "words": [word for _, word in words], "asked": asked},
    )
    return {(row.config, row.word) for row in rows}


def refresh(connection: Connection, message_id: str) -> None:
    """Makes the entry say what the message says now; to be called in the transaction that changes it."""
    row = connection.execute(_SAID, {"message_id": message_id}).first()
    if row is None or not row.body:
        connection.execute(delete(search_entries).where(search_entries.c.message_id == message_id))
        return
    config = config_of(row.language)
    stemmed = func.to_tsvector(literal(config).cast(REGCONFIG), row.body)
    document = stemmed.op("||")(func.to_tsvector(literal(SIMPLE).cast(REGCONFIG), fold(row.body)))
    entry = insert(search_entries).values(
        message_id=message_id,
        thread_id=row.thread_id,
        seq=row.seq,
        config=config,
        body=row.body,
        document=document,
    )
    changed = {name: entry.excluded[name] for name in ("config", "body", "document")}
    connection.execute(entry.on_conflict_do_update(index_elements=["message_id"], set_=changed))


def _queries(connection: Connection, terms: Sequence[Term]) -> dict[str, list[str]]:
    """The different queries that the terms make, each with the configurations in which they make it."""
    parts = [f"({_term_sql(number, term)})" for number, term in enumerate(terms)]
    values = {f"t{number}": term.text for number, term in enumerate(terms)}
    values |= {f"f{number}": _folded_query(term) for number, term in enumerate(terms)}
    rows = connection.execute(
        text(
            f"SELECT config, CAST({' && '.join(parts)} AS text) AS query"  # noqa: S608 - made of parameters' names
            " FROM unnest(CAST(:configs AS text[])) AS config"
        ),
        {**values, "configs": [SIMPLE, *sorted(set(CONFIGS.values()))]},
    )
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.query:
            found[row.query].append(row.config)
    return found


def _term_sql(number: int, term: Term) -> str:
    if term.is_phrase:
        return f"phraseto_tsquery('simple', :f{number})"
    return f"to_tsquery('simple', :f{number}) || plainto_tsquery(config::regconfig, :t{number})"


def _folded_query(term: Term) -> str:
    """Quoted, so that nothing in it is an operator; the beginning of a word when it is more than one letter."""
    if term.is_phrase:
        return term.folded
    quoted = term.folded.replace("\\", "\\\\").replace("'", "''")
    return f"'{quoted}'" + (":*" if len(term.folded) > 1 else "")


def _visible(viewer: str) -> Select[Any]:
    return (
        select(
            search_entries.c.message_id,
            search_entries.c.config,
            search_entries.c.body,
            transcripts.c.text.label("spoken"),
            transcripts.c.word_times,
        )
        .join(participants, participants.c.thread_id == search_entries.c.thread_id)
        .outerjoin(voices, voices.c.message_id == search_entries.c.message_id)
        .outerjoin(transcripts, transcripts.c.id == voices.c.transcript_id)
        .where(participants.c.user_id == viewer, search_entries.c.seq > participants.c.visible_after_seq)
    )


def _matches(query: str) -> Any:
    return search_entries.c.document.op("@@")(literal(query, Text).cast(TSQUERY))


_SAID = text(
    "SELECT m.thread_id, m.seq, t.language, coalesce(v.corrected_text, t.text, m.text) AS body"
    " FROM messages m LEFT JOIN voices v ON v.message_id = m.id LEFT JOIN transcripts t ON t.id = v.transcript_id"
    " WHERE m.id = :message_id AND m.deleted_at IS NULL"
)
