"""How APScheduler reads the fields of cron in a schedule: a line of JSON with fields and a date for each answer on standard output.

The answer is the largest gap in seconds between two times that follow each other, of those in 800 days from the date on, and whether
all of them were looked at; or that the fields are refused.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

from apscheduler.triggers.cron import CronTrigger

MOST = 1000
SECOND = timedelta(seconds=1)


def answer(fields, start):
    try:
        trigger = CronTrigger(timezone=timezone.utc, **fields)
    except ValueError:
        return {"refused": True}
    start = datetime.fromisoformat(start).replace(tzinfo=timezone.utc)
    end = start + timedelta(days=800)
    times = []
    time = trigger.get_next_fire_time(None, start)
    while time and time < end and len(times) < MOST:
        times.append(time)
        time = trigger.get_next_fire_time(None, time + SECOND)
    gaps = [int((later - earlier).total_seconds()) for earlier, later in zip(times, times[1:])]
    return {"gap": max(gaps, default=None), "whole": len(times) < MOST}


for line in sys.stdin:
    question = json.loads(line)
    print(json.dumps(answer(question["fields"], question["from"])), flush=True)
