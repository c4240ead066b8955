"""What transcripts say of a thread, on a real Postgres."""

from sqlalchemy import text

from storage import arrivals, intents, threads, transcripts
from storage.database import Database
from storage.ids import new_id
from storage.messages import Original


def thread(database: Database) -> str:
    with database.transaction() as connection:
        return threads.create(connection, creator="alice", members=["bob"])[0]


def say(database: Database, thread_id: str, language: str | None, *, state: str = "completed") -> None:
    message_id = new_id("msg")
    original = Original(f"messages/{message_id}/original/x", 1, "0" * 64, "ogg")
    with database.transaction() as connection:
        intents.declare(connection, message_id, [original.object_key], ttl_s=60)
        arrivals.add_voice(connection, message_id, thread_id, "alice", original, language=None, external_id=None)
        connection.execute(
            text("UPDATE transcripts SET state = :state, language = :language WHERE message_id = :id"),
            {"id": message_id, "state": state, "language": language},
        )


def test_usual_languages_are_counted_for_each_thread_that_is_asked_about(database: Database) -> None:
    mixed, spanish, silent, other = (thread(database) for _ in range(4))
    for thread_id, language in ((mixed, "de"), (mixed, "en"), (mixed, "de"), (spanish, "es"), (other, "fr")):
        say(database, thread_id, language)
    say(database, silent, None, state="no_speech")
    say(database, mixed, "it", state="pending")
    with database.reading() as connection:
        found = transcripts.usual_languages(connection, {mixed, spanish, silent})
    assert found == {mixed: {"de": 2, "en": 1}, spanish: {"es": 1}}


def test_usual_languages_are_those_of_the_latest_thirty_messages(database: Database) -> None:
    talk = thread(database)
    for language in ["de", "de", *["en"] * 29]:
        say(database, talk, language)
    with database.reading() as connection:
        assert transcripts.usual_languages(connection, [talk]) == {talk: {"de": 1, "en": 29}}
