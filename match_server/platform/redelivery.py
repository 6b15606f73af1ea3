"""A dead letter once more to its sink."""

from match_server.events.cloudevents import read_entry, source_of
from match_server.platform.consumer import SinkRefuses, SinkUnavailable
from match_server.platform.service import Feed
from match_server.platform.stream import DeadLetter


async def redeliver(feed: Feed, letter: DeadLetter, key_prefix: str) -> str:
    """Hand a dead letter to its sink. Returns why the sink does not store it, or an empty text: then it is deleted.

    Raises:
        StoreUnavailable: Redis gave no answer.
    """
    try:
        entry = letter.entry
        await feed.sink.store(read_entry(entry.entry_id, entry.text, source=source_of(key_prefix)))
    except (SinkRefuses, SinkUnavailable, ValueError) as error:
        return str(error) or type(error).__name__
    await feed.stream.drop_dead_letter(letter.letter_id)
    return ""
