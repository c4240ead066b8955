"""What was put by reservations of a process that died."""

import logging
from collections import defaultdict
from collections.abc import Mapping

from pipeline.context import Context
from storage.ids import beginnings, randomness_of
from storage.keys import parse_key
from storage.reservations import USED_WITHIN_S

log = logging.getLogger(__name__)


def abandoned(context: Context, slots: Mapping[str, float]) -> list[str]:
    """Ids of the messages that might have been made by these slots (with their `since`) and of which there are
    originals. One of which there is more was made, and this database has been restored since and has forgotten it."""
    kinds = _kinds(context, slots)
    for message_id, found in kinds.items():
        if found != {"original"}:
            log.warning("this database has forgotten message %s: see `earshot sweep`", message_id)
    return [message_id for message_id, found in kinds.items() if found == {"original"}]


def _kinds(context: Context, slots: Mapping[str, float]) -> dict[str, set[str]]:
    """Of what there is, by message ids."""
    prefix, kinds = context.settings.storage.s3_prefix, defaultdict(set)
    times = {each for since in set(slots.values()) for each in beginnings("msg", since, since + USED_WITHIN_S)}
    for begins in sorted(times):
        for found in context.store.list(f"{prefix}/{begins}"):
            key = parse_key(prefix, found.key)
            if key is not None and randomness_of(key.message_id) in slots:
                kinds[key.message_id].add(key.kind)
    return kinds
