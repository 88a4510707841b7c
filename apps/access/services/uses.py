"""Noting that a grant was used. Told by whoever hears of calls; costs nothing while the note is some minutes old."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import orjson
from django.db import connection

NOTED_EVERY = timedelta(minutes=10)

_NOTE = """
INSERT INTO access_grantuse (grant_id, route, last_at)
SELECT g.id, told.route, told.at
FROM jsonb_to_recordset(%(told)s::jsonb) AS told(public_id text, route text, at timestamptz)
JOIN access_grant g ON g.public_id = told.public_id
LEFT JOIN access_grantuse known ON known.grant_id = g.id AND known.route = told.route
WHERE known.last_at IS NULL OR known.last_at <= told.at - make_interval(secs => %(every)s)
ORDER BY g.id, told.route
ON CONFLICT (grant_id, route) DO UPDATE SET last_at = GREATEST(access_grantuse.last_at, EXCLUDED.last_at)
"""


def note_uses(uses: Mapping[tuple[str, str], datetime]) -> None:
    """When each grant (public id) last let a call through on a route (key). Ids that are no grant of ours are ignored.

    One statement. It writes, and takes locks, only where a note is older than NOTED_EVERY.
    """
    if not uses:
        return
    told = [{"public_id": grant, "route": route, "at": at} for (grant, route), at in uses.items()]
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, {"told": orjson.dumps(told).decode(), "every": NOTED_EVERY.total_seconds()})
