"""Finding messages by what was said or written, among those that the viewer may see.

A document holds every word twice: stemmed by its language's dictionary, and folded but whole, for names, beginnings
of words, phrases and words that a dictionary leaves out.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, TextClause, delete, text

from storage.languages import CONFIGS, SIMPLE, config_of, fold
from storage.tables import search_entries
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


@dataclass(frozen=True)
class _Asked:
    """tsqueries: `of_any` finds what any language finds and somewhat more, `by_config` says it of each exactly."""

    of_any: str
    by_config: dict[str, str]

    @property
    def differs(self) -> bool:
        return len(set(self.by_config.values())) > 1


def terms_of(query: str) -> list[Term]:
    """Words, and phrases in double quotes. Empty when there is no letter or digit in it."""
    found = dict.fromkeys(Term(phrase or word, bool(phrase)) for phrase, word in _TERM.findall(query))
    return [term for term in found if any(letter.isalnum() for letter in term.folded)][:MAX_TERMS]


def find(
    connection: Connection, viewer: str, terms: Sequence[Term], *, thread_id: str | None, limit: int, before: str | None
) -> list[Hit]:
    """The newest messages that match all terms; `before` is the last message's id of the page before."""
    asked = _asked(connection, terms)
    if not asked.of_any:
        return []
    values: dict[str, Any] = {
        "viewer": viewer,
        "any": asked.of_any,
        "by_config": json.dumps(asked.by_config),
        "thread_id": thread_id,
        "before": before,
        "limit": limit,
    }
    narrowing = (_IN_THREAD if thread_id is not None else "") + (_BEFORE if before is not None else "")
    matching = _MATCHING + (_IN_ITS_LANGUAGE if asked.differs else "")
    ways = [text(way.format(narrowing=narrowing, matching=matching)) for way in _WAYS]
    rows = _rows(connection, values, *ways)
    return [Hit(row.message_id, row.config, row.body, row.spoken, unpack(row.word_times or b"")) for row in rows]


def _rows(
    connection: Connection,
    values: dict[str, Any],
    among_newest: TextClause,
    among_own: TextClause,
    among_all: TextClause,
) -> Sequence[Row[Any]]:
    """Three ways to the same hits, for the planner can't tell common words from rare ones, nor whose they are."""
    limit = values["limit"]
    if not connection.execute(_HAS_MANY, {**values, "most": _FEW + 1}).scalar_one():
        return connection.execute(among_own, values).all()
    rows = connection.execute(among_newest, {**values, "window": _NEWEST}).all()
    if _ENOUGH <= len(rows) < limit:
        # Some among the newest means enough not much further back, and many in all: they would be slow to put in order.
        rows = connection.execute(among_newest, {**values, "window": _FURTHER_BACK}).all()
    if len(rows) < limit:
        # Few among the newest means few at all: cheap to look up, and to put in order.
        rows = connection.execute(among_all, values).all()
    return rows


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
    values = {"config": config_of(row.language), "simple": SIMPLE, "folded": fold(row.body)}
    connection.execute(_ENTER, {**row._mapping, "message_id": message_id, **values})


def _asked(connection: Connection, terms: Sequence[Term]) -> _Asked:
    """Each term in each language's form. A term that a dictionary leaves out, as it does "the", asks nothing of it."""
    configs = [SIMPLE, *sorted(set(CONFIGS.values()))]
    forms = ", ".join(f"CAST({_form_sql(number, term)} AS text)" for number, term in enumerate(terms))
    values = {f"t{number}": term.text for number, term in enumerate(terms)}
    values |= {f"f{number}": _folded_query(term) for number, term in enumerate(terms)}
    rows = connection.execute(
        text(
            f"SELECT config, ARRAY[{forms}] AS forms"  # noqa: S608 - made of parameters' names
            " FROM unnest(CAST(:configs AS text[])) AS config"
        ),
        {**values, "configs": configs},
    ).all()
    by_config = {row.config: _all_of(row.forms) for row in rows}
    by_term = [
        " | ".join(dict.fromkeys(filter(None, forms))) for forms in zip(*(row.forms for row in rows), strict=True)
    ]
    return _Asked(_all_of(by_term), by_config)


def _form_sql(number: int, term: Term) -> str:
    if term.is_phrase:
        return f"phraseto_tsquery('simple', :f{number})"
    return f"to_tsquery('simple', :f{number}) || plainto_tsquery(config::regconfig, :t{number})"


def _all_of(forms: Sequence[str]) -> str:
    return " & ".join(f"({form})" for form in forms if form)


def _folded_query(term: Term) -> str:
    """Quoted, so that nothing in it is an operator; the beginning of a word when it is more than one letter."""
    if term.is_phrase:
        return term.folded
    quoted = term.folded.replace("\\", "\\\\").replace("'", "''")
    return f"'{quoted}'" + (":*" if len(term.folded) > 1 else "")


# Entries to go through, at about a microsecond each, and how many hits make it worth while to go further back.
_FEW, _NEWEST, _ENOUGH, _FURTHER_BACK = 5_000, 1_500, 3, 15_000
_HAS_MANY = text(
    "SELECT count(*) = :most FROM (SELECT FROM participants me JOIN search_entries s ON s.thread_id = me.thread_id"
    " WHERE me.user_id = :viewer LIMIT :most) own"
)
# Through the newest entries of all; through the viewer's own, thread by thread; and by the index, which is asked once
# for all languages before each entry must match as its own language has it.
_AMONG_NEWEST = (
    "SELECT s.message_id, s.config, s.body, t.text AS spoken, t.word_times FROM"
    " (SELECT * FROM search_entries s WHERE true{narrowing} ORDER BY s.message_id DESC LIMIT :window) s"
    " JOIN participants me ON me.thread_id = s.thread_id AND me.user_id = :viewer AND s.seq > me.visible_after_seq"
    " LEFT JOIN voices v ON v.message_id = s.message_id LEFT JOIN transcripts t ON t.id = v.transcript_id"
    " WHERE {matching} ORDER BY s.message_id DESC LIMIT :limit"
)
_AMONG_OWN = (
    "SELECT s.message_id, s.config, s.body, t.text AS spoken, t.word_times FROM"
    # Without the barrier of OFFSET 0 it would be tempted by the other indexes, which lead through everybody's.
    " (SELECT s.* FROM participants me JOIN search_entries s ON s.thread_id = me.thread_id"
    " AND s.seq > me.visible_after_seq WHERE me.user_id = :viewer{narrowing} OFFSET 0) s"
    " LEFT JOIN voices v ON v.message_id = s.message_id LEFT JOIN transcripts t ON t.id = v.transcript_id"
    " WHERE {matching} ORDER BY s.message_id DESC LIMIT :limit"
)
_AMONG_ALL = (
    "WITH found AS MATERIALIZED (SELECT s.message_id FROM search_entries s"
    " JOIN participants me ON me.thread_id = s.thread_id AND me.user_id = :viewer AND s.seq > me.visible_after_seq"
    " WHERE {matching}{narrowing})"
    " SELECT s.message_id, s.config, s.body, t.text AS spoken, t.word_times"
    " FROM (SELECT message_id FROM found ORDER BY message_id DESC LIMIT :limit) AS newest"
    " JOIN search_entries s USING (message_id)"
    " LEFT JOIN voices v ON v.message_id = s.message_id LEFT JOIN transcripts t ON t.id = v.transcript_id"
    " ORDER BY s.message_id DESC"
)
_WAYS = (_AMONG_NEWEST, _AMONG_OWN, _AMONG_ALL)
_MATCHING = "s.document @@ CAST(:any AS tsquery)"
_IN_ITS_LANGUAGE = " AND s.document @@ CAST(CAST(:by_config AS jsonb) ->> s.config AS tsquery)"
_IN_THREAD = " AND s.thread_id = :thread_id"
_BEFORE = " AND s.message_id < :before"
# Made once: to put it together takes as long as to run it.
_ENTER = text(
    "INSERT INTO search_entries (message_id, thread_id, seq, config, body, document)"
    " SELECT :message_id, :thread_id, :seq, config, body, to_tsvector(CAST(config AS regconfig), body)"
    " || to_tsvector(CAST(:simple AS regconfig), :folded)"
    " FROM (VALUES (CAST(:config AS text), CAST(:body AS text))) AS said (config, body)"
    " ON CONFLICT (message_id) DO UPDATE"
    " SET config = excluded.config, body = excluded.body, document = excluded.document"
)
_SAID = text(
    "SELECT m.thread_id, m.seq, t.language, coalesce(v.corrected_text, t.text, m.text) AS body"
    " FROM messages m LEFT JOIN voices v ON v.message_id = m.id LEFT JOIN transcripts t ON t.id = v.transcript_id"
    " WHERE m.id = :message_id AND m.deleted_at IS NULL"
)
